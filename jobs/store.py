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

from jobs.errors import StoreError
from jobs.events import JobEvent
from jobs.job import ErrorCode, Failure, ImageRecord, Job, Status, Timings, WebhookState
from jobs.load import Drain, Load

Cursor = tuple[float, str]  # creation time and id of the last job of a page
LISTING_EFFORT = 1000  # records looked at for one page
TOMBSTONE_SECONDS = 7 * 24 * 3600
MESSAGE_PATIENCE = 10.0  # seconds before a job without a lease is looked at


class Renewal(Enum):
    """What a heartbeat learns."""

    held = "held"
    cancel = "cancel"  # held, and the client wants the job canceled
    lost = "lost"


@dataclass(frozen=True)
class OnceKey:
    """Makes a request happen once: the job that ``name`` created is remembered for ``ttl`` seconds,
    together with the ``fingerprint`` of what was asked for.
    """

    name: str
    fingerprint: str
    ttl: float


@dataclass(frozen=True)
class Remembered:
    """The job that a :class:`OnceKey` created."""

    job_id: str
    fingerprint: str


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

    def create(self, job: Job, once: OnceKey | None = None) -> bool:
        """– → queued. False when the id exists, or when ``once`` has created a job before."""
        ...

    def create_all(self, jobs: Sequence[tuple[Job, OnceKey | None]]) -> list[bool | StoreError]:
        """:meth:`create` of several jobs in one round trip, each as good as alone; StoreError in
        the place of one that was refused by a store that took others.
        """
        ...

    def remembered(self, name: str) -> Remembered | None:
        """The job that the :class:`OnceKey` of that name created."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The record; an expired job comes back with status ``expired`` and nothing else."""
        ...

    def get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        """:meth:`get` of several jobs in one round trip."""
        ...

    def start(self, job_id: str, token: str, lease_ttl: float) -> Job | None:
        """queued → running, or running with a dead lease → running; attempts + 1. None when
        refused.
        """
        ...

    def start_fresh(
        self, claims: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Job | StoreError | None]:
        """:meth:`start` of several jobs by id and token in one round trip, but only of those that
        nobody ever claimed before; None for the others.
        """
        ...

    def renew(self, job_id: str, token: str, lease_ttl: float) -> Renewal:
        """Keep the lease."""
        ...

    def progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        """Tell that ``done`` of ``total`` pictures are stored, by the holder of the lease token."""
        ...

    def finish(self, job_id: str, token: str, outcome: Outcome) -> bool:
        """running → succeeded or failed, by the holder of the lease token."""
        ...

    def finish_all(self, endings: Sequence[tuple[str, str, Outcome]]) -> list[bool | StoreError]:
        """:meth:`finish` of several jobs by id and token in one round trip."""
        ...

    def release(self, job_id: str, token: str) -> bool:
        """Give the lease up without an outcome, so that the job can be claimed again at once."""
        ...

    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        """queued → canceled; running → cancel requested, or canceled when its lease is dead.
        ``erase``: expire it as soon as it is final, and tell no webhook.
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
        """final → expired: a tombstone stays for a week. It remembers an undelivered webhook, if
        the job was not erased by its client.
        """
        ...

    def events(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        """By job id, what happened after the event whose id is given; None: the job is erased or
        unknown.
        """
        ...

    def webhooks_due(self, limit: int = 100) -> list[str]:
        """Final jobs whose client is to be told now, longest due first."""
        ...

    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        """Those that are due are due again in ``seconds``, without an attempt having been made."""
        ...

    def claim_webhook(self, job_id: str, patience: float) -> Job | None:
        """Begin a delivery: its attempts + 1. Nobody else gets it for ``patience`` seconds. None
        when it is not due.
        """
        ...

    def settle_webhook(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        """The result of delivery ``attempt``; ``pending`` is due again in ``delay`` seconds. False
        when another attempt has begun meanwhile.
        """
        ...

    def service_secret(self, name: str, proposal: str) -> str:
        """A secret that all processes share: the first value ever proposed for ``name``."""
        ...

    def due(self, limit: int = 500) -> list[str]:
        """Unfinished jobs with neither a live lease nor a recent message, oldest first."""
        ...

    def note_message(self, job_id: str, patience: float = MESSAGE_PATIENCE) -> None:
        """A message was sent: look at the job again in ``patience`` seconds."""
        ...

    def note_messages(self, job_ids: Sequence[str], patience: float) -> None:
        """:meth:`note_message` of several jobs at once."""
        ...

    def final_before(self, timestamp: float, limit: int = 500) -> list[str]:
        """Jobs whose lifetime is over: final since before ``timestamp``, or to be erased."""
        ...

    def position(self, job_id: str) -> int | None:
        """How many jobs wait in front; None when it does not wait."""
        ...

    def positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """:meth:`position` of several jobs at once."""
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
        self,
        status: Status | None,
        limit: int,
        before: Cursor | None,
        owner: str | None = None,
        task: str | None = None,
    ) -> tuple[list[Job], Cursor | None]:
        """Newest first, those after ``before`` in that order, of ``owner`` or of everybody (None);
        and the cursor of the next page, None on the last. A page may be shorter than ``limit``, as
        only so many records are looked at for one.
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
