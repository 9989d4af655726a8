"""Ends the lifetime of results: after it the job is a tombstone and its inputs and outputs are
erased.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from jobs.blobs import BlobStore, job_folder
from jobs.errors import BlobError
from jobs.store import JobStore

log = logging.getLogger(__name__)
_PAGE = 500  # jobs looked at per round
_MOST_FAULTS = 10  # of single jobs, before the storage as a whole is left alone until next time
_AGAIN = 60.0  # seconds until a job that could not be erased is tried again


@dataclass
class Sweeper:
    """Jobs that can't be erased just now are remembered, so that they never stand before others."""

    store: JobStore
    blobs: BlobStore
    result_ttl: float
    _later: dict[str, float] = field(default_factory=dict)

    def sweep(self, now: float) -> int:
        """Expire the jobs that ended more than ``result_ttl`` seconds ago, and those their clients
        want erased. Returns how many.
        """
        self._later = {job: when for job, when in self._later.items() if when > now}
        over = self.store.final_before(now - self.result_ttl, _PAGE + len(self._later))
        expired = faults = 0
        for job_id in over:
            if job_id in self._later:
                continue
            try:
                # Blobs first: if this process dies in between, the next sweep finds the job again.
                self.blobs.delete_prefix(job_folder(job_id))
            except BlobError as error:
                log.warning("job %s can't be erased yet: %s", job_id, error)
                self._later[job_id] = now + _AGAIN
                faults += 1
                if faults == _MOST_FAULTS or not error.lasting:  # an outage must not hold recovery
                    break
            else:
                expired += self.store.expire(job_id)
        return expired
