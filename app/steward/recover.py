"""Puts jobs back on their way: those whose worker died, whose message got lost, whose time is
up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from app.queue import Queue
from jobs.job import ErrorCode, Job, Status
from jobs.store import JobStore

log = logging.getLogger(__name__)

_OVERTAKEN = 2.0  # seconds by which a younger job must have been created to prove a lost message
_KEPT = 2.0  # patiences after which a job that was not seen again counts as taken


@dataclass(frozen=True)
class RecoveryPolicy:
    """patience: seconds that a message may be on its way; max_attempts: runs of a job alone, whose
    worker keeps dying."""

    patience: float = 10.0
    max_attempts: int = 3


@dataclass(frozen=True)
class _Sent:
    """A message for the job of a dead worker: after how many attempts, when, and when the job was
    last seen waiting for it.
    """

    attempts: int
    at: float
    seen: float


@dataclass
class Recovery:
    """Remembers what it has sent for jobs of dead workers, so that it sends no second message while
    the first one waits. A steward that starts anew sends one too many, which is harmless.
    """

    store: JobStore
    queue: Queue
    policy: RecoveryPolicy
    _sent: dict[str, _Sent] = field(default_factory=dict)

    def round(self, now: float) -> int:
        """Handle every unfinished job that nobody works on. Returns how many were sent again."""
        due = self.store.due()
        missing = self._missing(now) if due else 0
        sent = 0
        for job_id in due:
            job = self.store.get(job_id)
            if job is None or job.status.final or _give_up(self.store, job, now, self.policy):
                continue
            # Noted first: if publishing fails, the job is looked at again after the same patience.
            self.store.note_message(job_id, self.policy.patience)
            since = self._message_since(job)
            if since is not None:
                if missing <= 0 and not self._overtaken(since):
                    self._seen(job, now)
                    continue
                missing -= 1
            self._send(job, now)
            sent += 1
        return sent

    def _missing(self, now: float) -> int:
        """How many messages there should be and are not: one for each job that waits. Counted
        before any is sent.
        """
        taken = now - _KEPT * self.policy.patience
        self._sent = {job: sent for job, sent in self._sent.items() if sent.seen > taken}
        return self.store.depth() + len(self._sent) - self.queue.waiting()

    def _message_since(self, job: Job) -> float | None:
        """When the job's message was sent; None when there is none for its present state."""
        if job.status is Status.queued:
            return job.created_at
        sent = self._sent.get(job.id)
        return sent.at if sent and sent.attempts == job.attempts else None

    def _overtaken(self, since: float) -> bool:
        """A job was started whose message is younger, so the older one is not in line any more."""
        return self.store.newest_started() >= since + _OVERTAKEN

    def _seen(self, job: Job, now: float) -> None:
        if job.id in self._sent:
            self._sent[job.id] = replace(self._sent[job.id], seen=now)

    def _send(self, job: Job, now: float) -> None:
        self.queue.publish(job.id)
        if job.status is Status.running:
            self._sent[job.id] = _Sent(job.attempts, now, now)
        log.info("job %s sent again after %d attempts", job.id, job.attempts)


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
