"""The job store: every change of a job is one row of ARCHITECTURE.md's table, made by one
compare-and-set.

:class:`JobStore` is the contract, :class:`jobs.redis_store.RedisJobStore` keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from jobs.errors import StoreError
from jobs.events import JobEvent
from jobs.job import (
    DEFAULT_GROUP,
    ErrorCode,
    Failure,
    ImageRecord,
    Job,
    Status,
    Timings,
    WebhookState,
)
from jobs.load import Load, Throughput

Cursor = tuple[float, str]  # creation time and id of the last job of a page
MAX_LISTING_SCAN = 1000  # records looked at for one page
TOMBSTONE_SECONDS = 7 * 24 * 3600


class Renewal(Enum):
    """What a heartbeat learns."""

    held = "held"
    cancel = "cancel"  # held, and the client wants the job canceled
    lost = "lost"


@dataclass(frozen=True)
class IdempotencyKey:
    """Makes a request happen once: the job that ``name`` created is remembered for ``ttl`` seconds,
    together with the ``fingerprint`` of what was asked for.
    """

    name: str
    fingerprint: str
    ttl: float


@dataclass(frozen=True)
class IdempotencyRecord:
    """The job that a :class:`IdempotencyKey` created."""

    job_id: str
    fingerprint: str


class TooManyUnfinished(StoreError):
    """An owner has as many unfinished jobs as it may have."""

    def __init__(self, count: int) -> None:
        super().__init__(f"there are {count} unfinished jobs of this owner already")
        self.count = count


@dataclass(frozen=True)
class NewJob:
    """A job to be created: the store sets its times. ``start_within``: seconds until it fails
    unless a worker has taken it; ``max_unfinished`` and ``max_running``: of its owner, None for any
    number.
    """

    job: Job
    idempotency_key: IdempotencyKey | None = None
    start_within: float | None = None
    max_unfinished: int | None = None
    max_running: int | None = None


@dataclass(frozen=True)
class CreateResult:
    """By job the record as stored, None for one that there is, or an error; and how many wake-ups
    are missing.
    """

    jobs: Sequence[Job | StoreError | None]
    wakeups: int = 0


@dataclass(frozen=True)
class ClaimRequest:
    """What a worker has room for. ``beyond``: whether it takes one job that has more pictures."""

    jobs: int
    pictures: int
    groups: Sequence[str] = (DEFAULT_GROUP,)
    lowest_first: bool = False
    beyond: bool = True


@dataclass(frozen=True)
class ClaimedJob:
    """A job and the lease that its holder has."""

    job: Job
    token: str


@dataclass(frozen=True)
class ClaimResult:
    """``more_waiting``: whether more wait; ``wakeups``: to be sent because of them; ``suspects``:
    how many jobs wait for a worker that runs them alone.
    """

    jobs: Sequence[ClaimedJob] = ()
    more_waiting: bool = False
    wakeups: int = 0
    suspects: int = 0


@dataclass(frozen=True)
class Attempt:
    """An attempt: which one, and since when by the store's clock."""

    number: int
    started_at: float


@dataclass(frozen=True)
class JobOutcome:
    """What a worker found out about a job. ``error`` set means that it failed as a whole."""

    images: Sequence[ImageRecord] = ()
    timings: Timings = field(default_factory=Timings)
    receipt: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    error: Failure | None = None


class JobStore(Protocol):
    """All methods are synchronous and safe to call from several threads."""

    def create(self, new: NewJob) -> Job | None:
        """– → queued. The record as stored; None when the id exists, or when its idempotency key
        has created a job before. Raises TooManyUnfinished.
        """
        ...

    def create_all(self, jobs: Sequence[NewJob]) -> CreateResult:
        """:meth:`create` of several jobs in one round trip, each as good as alone; an error in the
        place of one that was refused.
        """
        ...

    def get_idempotency_record(self, name: str) -> IdempotencyRecord | None:
        """The job that the :class:`IdempotencyKey` of that name created."""
        ...

    def get(self, job_id: str) -> Job | None:
        """The record; an expired job comes back with status ``expired`` and nothing else."""
        ...

    def get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        """:meth:`get` of several jobs in one round trip."""
        ...

    def claim(self, claim_id: str, request: ClaimRequest, lease_ttl: float) -> ClaimResult:
        """Jobs that wait and were never begun, with leases whose tokens begin with ``claim_id``.
        Asked again under the same id within a minute, it is the same answer.
        """
        ...

    def acquire_suspect_lock(self, worker: str, seconds: float) -> bool:
        """Whether ``worker`` is the one that runs suspects, for ``seconds`` more: jobs that died
        with a worker. False when there is none, too.
        """
        ...

    def claim_suspect(
        self, claim_id: str, worker: str, lease_ttl: float, lock_seconds: float
    ) -> ClaimedJob | None:
        """One suspect for the worker whose turn it is, which runs nothing beside it."""
        ...

    def release_suspect_lock(self, worker: str) -> None:
        """Another worker may run suspects."""
        ...

    def begin_all(self, held: Sequence[tuple[str, str]]) -> list[Attempt | StoreError | None]:
        """Claimed → running, attempts + 1, of several jobs by id and token; None for those whose
        lease is lost or that were canceled.
        """
        ...

    def renew_all(
        self, held: Sequence[tuple[str, str]], lease_ttl: float
    ) -> list[Renewal | StoreError]:
        """Keep the leases of several jobs by id and token."""
        ...

    def record_progress(self, job_id: str, token: str, done: int, total: int) -> bool:
        """Tell that ``done`` of ``total`` pictures are stored, by the holder of the lease token."""
        ...

    def finish_all(self, endings: Sequence[tuple[str, str, JobOutcome]]) -> list[bool | StoreError]:
        """running → succeeded or failed of several jobs, by the holders of the lease tokens."""
        ...

    def release_all(
        self, held: Sequence[tuple[str, str]], delay: float = 0.0
    ) -> list[bool | StoreError]:
        """Give leases back without an outcome, as attempts that don't count: a job without another
        one goes to the head of its owner's line, others are suspects. ``delay``: seconds for which
        nobody is to have them, because of a fault of the storage.
        """
        ...

    def cancel(self, job_id: str, erase: bool = False) -> Status | None:
        """queued → canceled; running → cancel requested, or canceled when its lease is dead.
        ``erase``: expire it as soon as it is final, and tell no webhook.
        """
        ...

    def finish_canceled(self, job_id: str, token: str) -> bool:
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

    def events_after(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        """By job id, what happened after the event whose id is given; None: the job is erased or
        unknown.
        """
        ...

    def webhooks_due(self, limit: int = 100) -> list[str]:
        """Final jobs whose client is to be notified now, longest due first."""
        ...

    def postpone_webhooks(self, job_ids: Sequence[str], seconds: float) -> None:
        """Those that are due are due again in ``seconds``, without an attempt having been made."""
        ...

    def claim_webhook(self, job_id: str, seconds: float) -> Job | None:
        """Begin a delivery: its attempts + 1. Nobody else gets it for ``seconds`` seconds. None
        when it is not due.
        """
        ...

    def record_delivery(
        self, job_id: str, attempt: int, state: WebhookState, detail: str = "", delay: float = 0
    ) -> bool:
        """The result of delivery ``attempt``; ``pending`` is due again in ``delay`` seconds. False
        when another attempt has begun meanwhile.
        """
        ...

    def service_secret(self, name: str, proposal: str) -> str:
        """A secret that all processes share: the first value ever proposed for ``name``."""
        ...

    def dead_leases(self, limit: int = 500) -> list[str]:
        """Jobs whose worker is silent for too long."""
        ...

    def requeue(self, job_id: str, max_claims: int) -> bool:
        """A job with a dead lease waits again, if it was not begun and not claimed ``max_claims``
        times; else it is a suspect, or canceled when its client wants that.
        """
        ...

    def past_deadline(self, limit: int = 500) -> list[str]:
        """Jobs that wait although their deadline is over."""
        ...

    def rebuild_sets(self) -> int:
        """Put every unfinished job where its record says that it belongs, those of an earlier
        version too. Returns how many were looked at.
        """
        ...

    def results_due(self, seconds: float, limit: int = 500) -> list[str]:
        """Jobs that have been final for so long, or are to be erased."""
        ...

    def exist_all(self, job_ids: Sequence[str]) -> list[bool]:
        """Whether there is a record, be it a tombstone."""
        ...

    def queue_positions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """An estimate of how many jobs start before each; None for one that does not wait."""
        ...

    def queue_length(self) -> int:
        """How many jobs wait."""
        ...

    def has_claimable(self, groups: Sequence[str]) -> bool:
        """Whether a worker of these groups would get a job."""
        ...

    def count_unfinished(self, owner: str) -> int:
        """How many unfinished jobs ``owner`` has."""
        ...

    def load(self) -> Load:
        """How full the store is."""
        ...

    def throughput(self) -> Throughput:
        """How fast room is made."""
        ...

    def list_jobs(
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

    def remove_worker(self, worker: str) -> None:
        """A worker is gone."""
        ...

    def live_workers(self) -> list[dict[str, Any]]:
        """What the live workers said of themselves."""
        ...

    def ping(self) -> None:
        """Raise StoreError when the store can't be reached."""
        ...
