"""What is given to the job store, and what it answers: see :class:`jobs.redis_store.JobStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jobs.errors import StoreError
from jobs.job import DEFAULT_GROUP, Failure, ImageRecord, Job, Timings

Cursor = tuple[float, str]  # creation time and id of the last job of a page
MAX_LISTING_SCAN = 1000  # records looked at for one page
TOMBSTONE_SECONDS = 7 * 24 * 3600
MOST_TOMBSTONES = 5000  # of one owner, the newest
MOST_ACTIONS = 10_000  # of operators, the newest
LEFT_TO_NEWER = 5.0  # seconds until a job that a worker left to newer ones is offered again


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


@dataclass(frozen=True)
class AdminAction:
    """What an operator did, in seconds since 1970. ``by``: the id of a key, or user@host of a
    command; ``target``: what it was done to.
    """

    time: float
    by: str
    action: str
    target: str


class Quota(Enum):
    """What an owner may have so much of."""

    unfinished = "unfinished"  # jobs
    records = "records"  # of jobs, those of finished ones too
    stored = "stored"  # bytes of pictures


class OverQuota(StoreError):
    """An owner has ``used`` all that it may have of something."""

    def __init__(self, quota: Quota, used: int) -> None:
        super().__init__(f"this owner has used its quota, {quota.value}: {used}")
        self.quota, self.used = quota, used


@dataclass(frozen=True)
class Usage:
    """How much an owner has of what has a :class:`Quota`."""

    unfinished: int
    records: int
    stored: int


@dataclass(frozen=True)
class NewJob:
    """A job to be created: the store sets its times. ``start_within``: seconds until it fails
    unless a worker has taken it; ``max_unfinished``, ``max_running`` and ``max_records``: jobs of
    its owner, None for any number; ``max_stored``: bytes of its owner's pictures, None to leave
    them uncounted; ``stored``: bytes that this job's pictures may come to.
    """

    job: Job
    idempotency_key: IdempotencyKey | None = None
    start_within: float | None = None
    max_unfinished: int | None = None
    max_running: int | None = None
    max_records: int | None = None
    max_stored: int | None = None
    stored: int = 0


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
    """What a worker found out about a job. ``error`` set means that it failed as a whole;
    ``stored``: bytes of its pictures.
    """

    images: Sequence[ImageRecord] = ()
    timings: Timings = field(default_factory=Timings)
    receipt: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    error: Failure | None = None
    stored: int = 0
