"""Ends the lifetime of results: after it the job is a tombstone and its inputs and outputs are
erased.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.blobs import BlobStore, job_folder
from jobs.errors import BlobError
from jobs.redis_store import JobStore

log = logging.getLogger(__name__)
_BATCH_SIZE = 500  # jobs looked at per round
_MAX_FAULTS = 10  # of single jobs, before the storage as a whole is left alone until next time
_RETRY_SECONDS = 60.0  # seconds until a job that could not be erased is tried again


@dataclass
class ResultExpirer:
    """Jobs that can't be erased just now are remembered, so that they never stand before others."""

    store: JobStore
    blobs: BlobStore
    result_ttl: float
    _retry_at: dict[str, float] = field(default_factory=dict)

    def run_once(self, now: float) -> int:
        """Expire the jobs that ended more than ``result_ttl`` seconds ago, and those their clients
        want erased. ``now``: by a monotonic clock. Returns how many.
        """
        self._retry_at = {job: when for job, when in self._retry_at.items() if when > now}
        over = self.store.results_due(self.result_ttl, _BATCH_SIZE + len(self._retry_at))
        expired = faults = 0
        for job_id in over:
            if job_id in self._retry_at:
                continue
            try:
                # Blobs first: if this process dies in between, the next sweep finds the job again.
                self.blobs.delete_prefix(job_folder(job_id))
            except BlobError as error:
                log.warning("job %s can't be erased yet: %s", job_id, error)
                self._retry_at[job_id] = now + _RETRY_SECONDS
                faults += 1
                if faults == _MAX_FAULTS or not error.lasting:  # an outage must not hold recovery
                    break
            else:
                expired += self.store.expire(job_id)
        return expired


@dataclass
class OrphanCollector:
    """Erases what belongs to no job: uploads whose job was not recorded. A gateway writes them
    first, so an orphan is what was found without a record twice, an hour apart by this process's
    own monotonic clock.
    """

    store: JobStore
    blobs: BlobStore
    interval: float = 3600.0  # seconds
    _candidates: frozenset[str] = frozenset()
    _last_run: float = float("-inf")

    def run_once(self, now: float) -> int:
        """Returns how many jobs' folders were erased."""
        if now - self._last_run < self.interval:
            return 0
        self._last_run = now
        without = frozenset(self._ids_without_record())
        orphans = without & self._candidates
        self._candidates = without - orphans
        for job_id in orphans:
            log.info("uploads of job %s, which was never recorded, are erased", job_id)
            self.blobs.delete_prefix(job_folder(job_id))
        return len(orphans)

    def _ids_without_record(self) -> Iterator[str]:
        folders = self.blobs.list_job_ids()
        for n in range(0, len(folders), _BATCH_SIZE):
            page = folders[n : n + _BATCH_SIZE]
            there = self.store.exist_all(page)
            yield from (job_id for job_id, known in zip(page, there, strict=True) if not known)
