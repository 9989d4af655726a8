"""Puts jobs back on their way: those whose worker died, whose message got lost, whose time is
up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.queue import Queue
from jobs.job import ErrorCode, Job, Status
from jobs.store import JobStore

log = logging.getLogger(__name__)

_OVERTAKEN = 2.0  # seconds by which a younger job must have been created to prove a lost message


@dataclass(frozen=True)
class RecoveryPolicy:
    """patience: seconds that a message may be on its way; max_attempts: runs of a job alone, whose
    worker keeps dying."""

    patience: float = 10.0
    max_attempts: int = 3


def recover(store: JobStore, queue: Queue, now: float, policy: RecoveryPolicy) -> int:
    """Handle every unfinished job that nobody works on. Returns how many were sent again."""
    sent = 0
    due = store.due()
    # Counted once, before anything is sent: each job that waits should have its message in line.
    missing = store.depth() - queue.waiting() if due else 0
    for job_id in due:
        job = store.get(job_id)
        if job is None or job.status.final or _give_up(store, job, now, policy):
            continue
        # Noted first: if publishing fails, the job is looked at again after the same patience.
        store.note_message(job_id, policy.patience)
        if job.status is Status.queued:
            if missing <= 0 and not _overtaken(store, job):
                continue
            missing -= 1
        queue.publish(job_id)
        log.info("job %s sent again after %d attempts", job_id, job.attempts)
        sent += 1
    return sent


def _overtaken(store: JobStore, job: Job) -> bool:
    """A younger job was started, so this one's message is not among those that wait."""
    return store.newest_started() >= job.created_at + _OVERTAKEN


def _give_up(store: JobStore, job: Job, now: float, policy: RecoveryPolicy) -> bool:
    """End a job that can't succeed any more. True when it was handled."""
    if job.status is Status.running and job.cancel_requested:
        return store.cancel(job.id) is Status.canceled  # its worker died before it could stop
    if job.status is Status.queued and job.deadline is not None and now > job.deadline:
        detail = "No worker took this job before its deadline. Submit it again later."
        return store.give_up(job.id, ErrorCode.expired, detail)
    alone = job.attempts - 1  # the first run shared its worker: another job may have ended it
    if job.status is Status.running and alone >= policy.max_attempts:
        detail = (
            f"The worker died {job.attempts} times while it held this job, {alone} of them while "
            "running it alone. The input probably triggers a fault: change the photo or the text."
        )
        return store.give_up(job.id, ErrorCode.lost, detail)
    return False
