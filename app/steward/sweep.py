"""Ends the lifetime of results: after it the job is a tombstone and its inputs and outputs are
erased.
"""

from __future__ import annotations

from jobs.blobs import BlobStore, job_folder
from jobs.store import JobStore


def sweep(store: JobStore, blobs: BlobStore, now: float, result_ttl: float) -> int:
    """Expire the jobs that ended more than ``result_ttl`` seconds ago, and those their clients
    want erased. Returns how many.
    """
    expired = 0
    for job_id in store.final_before(now - result_ttl):
        # Blobs first: if this process dies in between, the next sweep finds the job again.
        blobs.delete_prefix(job_folder(job_id))
        expired += store.expire(job_id)
    return expired
