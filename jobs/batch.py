"""The record of a batch: many jobs under one id, with one event stream and one webhook. It stands
beside those of jobs, under an id that no job has, so that what serves a job's events and webhook
serves a batch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from jobs.job import Record, Webhook, new_id

_PREFIX = "batch_"


class BatchStatus(StrEnum):
    """Where a batch is; it only moves downwards."""

    open = "open"  # takes jobs
    closed = "closed"  # takes none; some have not ended
    ended = "ended"  # closed, and all of its jobs have ended


class Batch(Record):
    """Times are the store's, in seconds since 1970; ``total`` counts all jobs that it was given,
    ``succeeded``, ``failed`` and ``canceled`` those that ended so.
    """

    id: str
    owner: str = ""
    created_at: float
    closed_at: float | None = None
    finished_at: float | None = None
    total: int = 0
    unfinished: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    webhook: Webhook | None = None

    @property
    def status(self) -> BatchStatus:
        if self.finished_at is not None:
            return BatchStatus.ended
        return BatchStatus.open if self.closed_at is None else BatchStatus.closed


def new_batch_id() -> str:
    return _PREFIX + new_id()


def is_batch_id(record_id: str) -> bool:
    return record_id.startswith(_PREFIX)


def read_batch(fields: Mapping[str, Any]) -> Batch:
    """The batch of a hash. Raises pydantic's ValidationError."""
    return Batch.model_validate({**fields, "webhook": read_webhook(fields)})


def read_webhook(fields: Mapping[str, str]) -> Mapping[str, str] | None:
    """The webhook of a hash, a job's or a batch's."""
    if "webhook" not in fields:
        return None
    prefix = "webhook_"
    rest = {k.removeprefix(prefix): v for k, v in fields.items() if k.startswith(prefix)}
    return {"url": fields["webhook"], **rest}
