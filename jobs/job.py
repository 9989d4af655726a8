"""The job record: what everybody may know about one request's life; and what happens to a job, in
order: the events that its followers receive.

Every change is published at once, as the id of the job; followed by its status, after a space, when
the job is over. Jobs that change together are lines of one publication.
"""

from __future__ import annotations

import re
import secrets
import time
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

JOB_SCHEMA = 2  # a worker leaves jobs of a higher one to newer workers
DEFAULT_GROUP = "default"  # of workers that serve every bundle


def needed_schema(batch: str) -> int:
    """The lowest schema whose workers can do a job: those of the first don't count batches."""
    return 2 if batch else 1


def bundle_group(bundle: str) -> str:
    """Of the jobs of one bundle, where that has a group of its own."""
    return f"bundle/{bundle}"  # as in jobs/scripts/prelude.lua


class Status(StrEnum):
    """Where a job is; it only moves as the transition table of ARCHITECTURE.md says."""

    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    canceled = "canceled"
    expired = "expired"

    @property
    def final(self) -> bool:
        """Nothing but expiry can follow."""
        return self not in (Status.queued, Status.running)


class Priority(StrEnum):
    """Which jobs go before others, those of higher priority first."""

    low = "low"
    normal = "normal"
    high = "high"

    def exceeds(self, other: Priority) -> bool:
        order = list(Priority)
        return order.index(self) > order.index(other)


class ErrorCode(StrEnum):
    """Why a job or a picture failed, for programs."""

    bad_input = "bad_input"
    no_known_words = "no_known_words"
    unknown_bundle = "unknown_bundle"
    model_error = "model_error"
    out_of_memory = "out_of_memory"
    lost = "lost"
    expired = "expired"
    storage = "storage"
    internal = "internal"

    @classmethod
    def _missing_(cls, value: object) -> ErrorCode | None:
        """A newer version's code reads as ``internal``, so that its records can be read."""
        return cls.internal if isinstance(value, str) else None


class Record(BaseModel):
    # Errors name fields, not what is in them: captions are for no log.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Failure(Record):
    """A code for programs and a sentence for people."""

    code: ErrorCode
    detail: str = Field(description="a sentence that says what to do")


class ImageRecord(Record):
    """Picture ``index`` of a job: stored bytes, or why there are none. Sizes in pixels; frames: of
    an animation, 1 for others; explanation: where its explanation is stored, empty without one;
    candidate: which of those drawn for it this is.
    """

    index: int
    seed: int
    width: int = 0
    height: int = 0
    sha256: str = ""
    blob: str = ""
    format: str = "png"
    frames: int = 1
    explanation: str = ""
    candidate: int = 0
    error: Failure | None = None


class Timings(Record):
    """In milliseconds."""

    queued_ms: float | None = Field(None, description="waiting in the queue")
    model_ms: float | None = Field(None, description="in the forward pass alone")
    total_ms: float | None = Field(None, description="from creation to the end")


class WebhookState(StrEnum):
    """How far the delivery of a job's end to its client's address is."""

    waiting = "waiting"  # for the end of the job
    pending = "pending"
    delivered = "delivered"
    failed = "failed"


class Webhook(Record):
    """How far the announcement of an end is, of a job or a batch."""

    url: str = Field(description="that is called at the end")
    state: WebhookState = WebhookState.waiting
    event: str = Field("", exclude=True)  # the status at the end
    attempts: int = Field(0, description="deliveries begun")
    detail: str = Field("", description="why the last attempt did not succeed")


class Job(Record):
    """One request's record. Times are the store's, in seconds since 1970; ``inputs`` maps picture
    names to blob keys; ``group`` is that of the workers that serve its bundle; ``pictures`` are
    drawn for it, frames counted; ``done`` counts those that the present run has stored; ``faults``
    counts runs that the storage kept from their end, ``hand_backs`` workers that lacked its bundle;
    ``bundle_sha256``: the bundle that its request was read with; ``erasing``: its blobs may be gone
    already; ``batch``: the id of the one that it belongs to, empty without one.
    """

    schema_version: int = JOB_SCHEMA
    id: str
    task: str
    owner: str = ""  # whose key it was submitted with; empty on a service without keys
    request_id: str = ""  # of the request that submitted it, for logs
    traceparent: str = ""  # of that request's span; empty without traces
    group: str = DEFAULT_GROUP
    priority: Priority = Priority.normal
    pictures: int = 1
    status: Status = Status.queued
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    deadline: float | None = None
    request: dict[str, Any]
    bundle_sha256: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    images: tuple[ImageRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    error: Failure | None = None
    timings: Timings = Timings()
    receipt: dict[str, Any] = Field(default_factory=dict)
    attempts: int = 0
    faults: int = 0
    hand_backs: int = 0
    done: int = 0
    cancel_requested: bool = False
    erasing: bool = False
    webhook: Webhook | None = None
    batch: str = ""


def new_id() -> str:
    """32 hexadecimal digits: 48 bits of time in milliseconds, then 80 random bits, so ids sort and
    can't be guessed.
    """
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(10)}"


def image_seed(seed: int, index: int) -> int:
    """Seed of picture ``index``: (seed + index) mod 2³²."""
    return (seed + index) % 2**32


CANCEL_REQUESTED = "cancel_requested"
MAX_EVENTS = 64  # of each job; the newest, so the last one is always among them
STREAM_START = "0-0"  # before every event

_ID = re.compile(r"^(\d{1,15})-(\d{1,15})$", re.ASCII)


class JobEvent(BaseModel):
    """``status`` is a :class:`Status` or :data:`CANCEL_REQUESTED`; "" when only ``done`` of
    ``total`` pictures changed. Of a batch it is a :class:`jobs.batch.BatchStatus`, or that of
    ``job``, which has ended. Ids look like ``1764000000000-0`` and grow.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    status: str = ""
    done: int | None = None
    total: int | None = None
    job: str = ""

    @property
    def final(self) -> bool:
        """The job, or the batch, is over."""
        return self.status in FINAL and not self.job


FINAL = frozenset(["ended", *(status.value for status in Status if status.final)])


def event_order(event_id: str) -> tuple[int, int] | None:
    """A key to sort ids by; None when it is no event's id."""
    found = _ID.match(event_id)
    return (int(found[1]), int(found[2])) if found else None
