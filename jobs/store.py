"""The job store: every change of a job is one row of ARCHITECTURE.md's table, made by one
compare-and-set.

:class:`JobStore` is the contract; :class:`jobs.redis_store.RedisJobStore` keeps it in Redis,
:class:`jobs.memory_store.MemoryJobStore` in this process, for tests and tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from jobs.job import ErrorCode, Failure, ImageRecord, Job, Status, Timings
from jobs.load import Drain, Load

TOMBSTONE_SECONDS = 7 * 24 * 3600
MESSAGE_PATIENCE = 10.0  # seconds before a job without a lease is looked at


class Renewal(Enum):
    """What a heartbeat learns."""

    held = "held"
    cancel = "cancel"  # held, and the client wants the job canceled
    lost = "lost"


@dataclass(frozen=True)
class Outcome:
    """What a worker found out about a job. ``error`` set means that it failed as a whole."""

    images: Sequence[ImageRecord] = ()
    timings: Timings = field(default_factory=Timings)
    receipt: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    error: Failure | None = None


class JobStore(Protocol):
    """All methods are synchronous and safe to call from several threads."""

    def create(self, job: Job) -> bool:
        """– → queued. False when the id exists."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The record; an expired job comes back with status ``expired`` and nothing else."""
        ...

    def start(self, job_id: str, token: str, lease_ttl: float) -> Job | None:
        """queued → running, or running with a dead lease → running; attempts + 1. None when
        refused.
        """
        ...

    def renew(self, job_id: str, token: str, lease_ttl: float) -> Renewal:
        """Keep the lease."""
        ...

    def finish(self, job_id: str, token: str, outcome: Outcome) -> bool:
        """running → succeeded or failed, by the holder of the lease token."""
        ...

    def release(self, job_id: str, token: str) -> bool:
        """Give the lease up without an outcome, so that the job can be claimed again at once."""
        ...

    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        """queued → canceled; running → cancel requested. ``erase``: expire it as soon as it is
        final.
        """
        ...

    def cancel_done(self, job_id: str, token: str) -> bool:
        """running → canceled, by the holder of the lease token."""
        ...

    def give_up(self, job_id: str, code: ErrorCode, detail: str) -> bool:
        """running with a dead lease → failed ``lost``; queued → failed ``expired``. Refused
        otherwise.
        """
        ...

    def expire(self, job_id: str) -> bool:
        """final → expired: a tombstone stays for a week."""
        ...

    def due(self, limit: int = 500) -> list[str]:
        """Unfinished jobs with neither a live lease nor a recent message, oldest first."""
        ...

    def note_message(self, job_id: str, patience: float = MESSAGE_PATIENCE) -> None:
        """A message was sent: look at the job again in ``patience`` seconds."""
        ...

    def final_before(self, timestamp: float, limit: int = 500) -> list[str]:
        """Jobs whose lifetime is over: final since before ``timestamp``, or to be erased."""
        ...

    def position(self, job_id: str) -> int | None:
        """How many jobs wait in front; None when it does not wait."""
        ...

    def newest_started(self) -> float:
        """Creation time of the newest job that a worker has claimed."""
        ...

    def depth(self) -> int:
        """How many jobs wait."""
        ...

    def active(self, owner: str) -> int:
        """How many unfinished jobs ``owner`` has."""
        ...

    def load(self) -> Load:
        """How full the store is."""
        ...

    def drain(self) -> Drain:
        """How fast room is made."""
        ...

    def listing(
        self, status: Status | None, limit: int, before: float | None, owner: str | None = None
    ) -> tuple[list[Job], float | None]:
        """Newest first, created before ``before``, of ``owner`` or of everybody (None); and the
        cursor of the next page.
        """
        ...

    def heartbeat(self, worker: str, info: Mapping[str, Any], ttl: float) -> None:
        """A worker is alive for ``ttl`` more seconds."""
        ...

    def farewell(self, worker: str) -> None:
        """A worker is gone."""
        ...

    def workers(self) -> list[dict[str, Any]]:
        """What the live workers said of themselves."""
        ...

    def ping(self) -> None:
        """Raise StoreError when the store can't be reached."""
        ...
