"""Puts jobs back in line whose worker died, and ends those that can't succeed any more."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.reconciler import metrics
from jobs import liveness
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
        """At the start, and when a bundle has got a group of its own: the records are the truth,
        the sets that are made of them follow. So jobs of an earlier version, and those that waited
        for all workers, find their places. Returns how many were looked at.
        """
        return self.store.rebuild_sets()

    def run_once(self) -> int:
        """Handle the jobs that nobody works on. Returns how many were put back in line."""
        for job_id in self.store.past_deadline(_BATCH_SIZE):
            detail = "No worker took this job before its deadline. Submit it again later."
            self._give_up(job_id, ErrorCode.expired, detail)
            liveness.touch_file()
        dead = self.store.get_readable(self.store.dead_leases(_BATCH_SIZE))
        return sum(self._handle_dead_lease(job) for job in dead)

    def _handle_dead_lease(self, job: Job) -> bool:
        liveness.touch_file()
        alone = job.attempts - 1  # the first run shared its worker: another job may have ended it
        lost = job.status is Status.running and alone >= self.max_attempts
        if lost and not job.cancel_requested:
            detail = (
                f"The worker died {job.attempts} times while it held this job, {alone} of them "
                "while running it alone. The input probably triggers a fault: change the photo "
                "or the text."
            )
            self._give_up(job.id, ErrorCode.lost, detail)
            return False
        log.info("job %s is taken from a dead worker after %d attempts", job.id, job.attempts)
        taken = self.store.requeue(job.id, _MAX_CLAIMS)
        metrics.RECOVERED.inc(taken)
        return taken

    def _give_up(self, job_id: str, code: ErrorCode, detail: str) -> None:
        if self.store.give_up(job_id, code, detail):
            metrics.GIVEN_UP.labels(code).inc()
