"""Puts jobs back in line whose worker died, and ends those that can't succeed any more; ends the
lifetime of results: after it the job is a tombstone and its inputs and outputs are erased.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.blobs import BlobStore, input_prefix, job_folder
from jobs.errors import BlobError, StoreError
from jobs.job import ErrorCode, Job, Status
from jobs.redis_store import JobStore

log = logging.getLogger(__name__)
_BATCH_SIZE = 2000  # jobs of one round
_MAX_CLAIMS = 20  # of a job that is never begun, before it runs alone


@dataclass
class Reconciler:
    """``max_attempts``: runs of a job alone, whose worker keeps dying."""

    store: JobStore
    max_attempts: int = 3

    def rebuild(self) -> int:
        """Once at the start: the records are the truth, the sets that are made of them follow. So
        jobs of an earlier version find their places. Returns how many were looked at.
        """
        return self.store.rebuild_sets()

    def run_once(self) -> int:
        """Handle the jobs that nobody works on. Returns how many were put back in line."""
        for job_id in self.store.past_deadline(_BATCH_SIZE):
            detail = "No worker took this job before its deadline. Submit it again later."
            self.store.give_up(job_id, ErrorCode.expired, detail)
        dead = self.store.get_all(self.store.dead_leases(_BATCH_SIZE))
        return sum(self._handle_dead_lease(job) for job in dead if job)

    def _handle_dead_lease(self, job: Job) -> bool:
        alone = job.attempts - 1  # the first run shared its worker: another job may have ended it
        lost = job.status is Status.running and alone >= self.max_attempts
        if lost and not job.cancel_requested:
            detail = (
                f"The worker died {job.attempts} times while it held this job, {alone} of them "
                "while running it alone. The input probably triggers a fault: change the photo "
                "or the text."
            )
            self.store.give_up(job.id, ErrorCode.lost, detail)
            return False
        log.info("job %s is taken from a dead worker after %d attempts", job.id, job.attempts)
        return self.store.requeue(job.id, _MAX_CLAIMS)


_EXPIRE_BATCH = 500  # jobs looked at per round
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
        over = self.store.results_due(self.result_ttl, _EXPIRE_BATCH + len(self._retry_at))
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
class InputEraser:
    """Erases what was uploaded for jobs that are over: nobody reads it any more, and it may be as
    large as all else.
    """

    store: JobStore
    blobs: BlobStore

    def run_once(self, _now: float) -> int:
        """Returns the uploads of how many jobs were erased."""
        erased = list[str]()
        for job_id in self.store.over_inputs(_EXPIRE_BATCH):
            try:
                self.blobs.delete_prefix(input_prefix(job_id))
            except BlobError as error:
                log.warning("uploads of job %s can't be erased yet: %s", job_id, error)
                self.store.postpone_inputs([job_id], _RETRY_SECONDS)
                if not error.lasting:
                    break
            else:
                erased.append(job_id)
        self.store.forget_inputs(erased)
        return len(erased)


@dataclass
class LogRewriter:
    """Nothing of an erased job is to stay in the broker's file: see
    :meth:`jobs.redis_store.JobStore.rewrite_log`.
    """

    store: JobStore
    interval: float = 600.0  # seconds between two times
    _last_run: float = float("-inf")

    def run_once(self, now: float) -> bool:
        """Returns whether the file is being written anew."""
        if now - self._last_run < self.interval:
            return False
        try:
            rewritten = self.store.rewrite_log()
        except StoreError:
            self._last_run = now
            raise
        if rewritten:
            self._last_run = now
        return rewritten


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
        for n in range(0, len(folders), _EXPIRE_BATCH):
            page = folders[n : n + _EXPIRE_BATCH]
            there = self.store.exist_all(page)
            yield from (job_id for job_id, known in zip(page, there, strict=True) if not known)
