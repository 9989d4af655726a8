"""Puts jobs back in line whose worker died, and ends those that can't succeed any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.reconciler import metrics
from jobs import liveness
from jobs.job import ErrorCode, Job, Status
from jobs.redis_store import JobStore

log = logging.getLogger(__name__)
INTERVAL = 2.0  # seconds between two rounds
_BATCH_SIZE = 2000  # jobs of one round
_MAX_CLAIMS = 20  # of a job that is never begun, before it runs alone


@contextmanager
def log_errors(description: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the broker restarts
        log.warning("%s: %s", description, error)


@dataclass
class Reconciler:
    """``max_attempts``: runs of a job alone, whose worker keeps dying."""

    store: JobStore
    max_attempts: int = 3
    _rebuilt: frozenset[str] | None = None  # the bundles that had a group of their own then

    def run(self, stop: threading.Event) -> None:
        """Round by round. A fault of one duty does not keep the other from being done; what was not
        done is found again next time.
        """
        while not stop.is_set():
            liveness.touch_file()
            for duty in (self.rebuild, self.run_once):
                with log_errors("jobs not reconciled"):
                    duty()
            stop.wait(INTERVAL)

    def rebuild(self) -> int:
        """At the start, and when a bundle has got a group of its own: the records are the truth,
        the sets that are made of them follow. So jobs of an earlier version, and those that waited
        for all workers, find their places. Returns how many were looked at.
        """
        placed = self.store.place_bundles()
        if placed == self._rebuilt:
            return 0
        count = self.store.rebuild_sets()
        self._rebuilt = placed
        return count

    def run_once(self) -> int:
        """Handle the jobs that nobody works on. Returns how many were put back in line."""
        for job_id in self.store.past_deadline(_BATCH_SIZE):
            detail = "No worker started this job before its deadline. Submit it again later."
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
