"""Puts jobs back on their way: those whose worker died, whose message got lost, or whose time is
up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.queue import Queue
from jobs.job import ErrorCode, Job, Status
from jobs.store import JobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecoveryPolicy:
    """Ages in seconds. A message younger than ``message_age`` may still be on its way to a
    worker.
    """

    message_age: float = 10.0
    max_attempts: int = 3


def recover(store: JobStore, queue: Queue, now: float, policy: RecoveryPolicy) -> int:
    """Handle every unfinished job that nobody works on. Returns how many were sent again."""
    sent = 0
    for job_id in store.stale(now, policy.message_age):
        job = store.get(job_id)
        if job is None or job.status.final or _give_up(store, job, now, policy):
            continue
        queue.publish(job_id)
        store.note_message(job_id, now)
        log.info("job %s sent again after %d attempts", job_id, job.attempts)
        sent += 1
    return sent


def _give_up(store: JobStore, job: Job, now: float, policy: RecoveryPolicy) -> bool:
    """End a job that can't succeed any more. True when it was handled."""
    if job.status is Status.queued and job.deadline is not None and now > job.deadline:
        detail = "No worker took this job before its deadline. Submit it again later."
        return store.fail(job.id, None, ErrorCode.expired, detail)
    if job.status is Status.running and job.attempts >= policy.max_attempts:
        detail = (
            f"The worker died {job.attempts} times while it held this job, the last time while "
            f"running it alone. "
            "The input probably triggers a fault in the model: change the photo or the text."
        )
        return store.fail(job.id, None, ErrorCode.lost, detail)
    return False
