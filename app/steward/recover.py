"""Puts jobs back on their way: those whose worker died, whose message got lost, whose time is
up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.queue import Queue
from jobs.job import ErrorCode, Job, Status
from jobs.store import JobStore

log = logging.getLogger(__name__)

_OVERTAKEN = 2.0  # seconds by which a younger job must have been created to prove a lost message
_PAGE = 2000  # jobs of one round: a tenth of a second
_LOOKS = 500.0  # at jobs in line per second, at most: half of what the rounds can do
_KEPT = 2.0  # patiences after which a job that was not seen again counts as taken


@dataclass(frozen=True)
class RecoveryPolicy:
    """patience: seconds that a message may be on its way; max_attempts: runs of a job alone, whose
    worker keeps dying."""

    patience: float = 10.0
    max_attempts: int = 3


@dataclass
class _Line:
    """What a round knows of the queue: how many messages there should be and are not, and when the
    newest job was created that a worker has started: a job that is older by
    :data:`_OVERTAKEN` is not in line any more.
    """

    missing: int
    newest: float


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
        """Handle the unfinished jobs that nobody works on. Returns how many were sent again."""
        due = self.store.due(_PAGE)
        if not due:
            return 0
        line = _Line(self._missing(now), self.store.newest_started())
        found = [job for job in self.store.get_all(due) if job and not job.status.final]
        left = [job for job in found if not _give_up(self.store, job, now, self.policy)]
        self._note(left)
        again = [job for job in left if self._is_missed(job, line, now)]
        for job in again:
            self._send(job, now)
        return len(again)

    def _note(self, jobs: Sequence[Job]) -> None:
        """Noted before anything is sent: if that fails, the jobs are looked at again after the same
        patience. In a long queue those in line are looked at less often, so that looking at them
        keeps nobody from those whose worker died.
        """
        waiting = [job.id for job in jobs if job.status is Status.queued]
        others = [job.id for job in jobs if job.status is not Status.queued]
        patience = self.policy.patience
        self.store.note_messages(others, patience)
        if waiting:
            self.store.note_messages(waiting, max(patience, self.store.depth() / _LOOKS))

    def _is_missed(self, job: Job, line: _Line, now: float) -> bool:
        since = self._message_since(job)
        if since is not None and line.missing <= 0 and line.newest < since + _OVERTAKEN:
            self._seen(job, now)
            return False
        line.missing -= since is not None
        return True

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
