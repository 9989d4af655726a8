"""Batches: many jobs under one id, with one event stream and one webhook.

The record of a batch stands beside those of jobs, under an id that no job has: what serves a job's
events and webhook serves a batch's. The scripts that create and end jobs count them in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import Field, computed_field

from jobs.job import Record, Webhook

BATCH_PREFIX = "batch_"  # of ids


class BatchStatus(StrEnum):
    """Where a batch is; it only moves downwards."""

    open = "open"
    closed = "closed"
    ended = "ended"


class Batch(Record):
    """A batch, as clients see it but for its owner. Times are UTC."""

    id: str = Field(description="for the field batch of requests")
    owner: str = Field("", exclude=True)
    created_at: datetime = Field(description="when it was created")
    closed_at: datetime | None = Field(None, description="null while it takes jobs")
    finished_at: datetime | None = Field(None, description="when all had ended; null before")
    total: int = Field(description="jobs that it was given")
    unfinished: int = Field(description="of these, jobs that wait or run")
    succeeded: int = Field(0, description="jobs that ended so")
    failed: int = Field(0, description="jobs that ended so")
    canceled: int = Field(0, description="jobs that ended so")
    webhook: Webhook | None = Field(None, description="its delivery, if the batch has one")

    @computed_field(  # type: ignore[prop-decorator]
        description="open: takes jobs; closed: some have not ended; ended: all have"
    )
    @property
    def status(self) -> BatchStatus:
        if self.finished_at:
            return BatchStatus.ended
        return BatchStatus.closed if self.closed_at else BatchStatus.open


def is_batch_id(record_id: str) -> bool:
    return record_id.startswith(BATCH_PREFIX)


def read_webhook(fields: Mapping[str, str]) -> Mapping[str, str] | None:
    """The webhook of a record's hash, a job's or a batch's."""
    if "webhook" not in fields:
        return None
    prefix = "webhook_"
    rest = {k.removeprefix(prefix): v for k, v in fields.items() if k.startswith(prefix)}
    return {"url": fields["webhook"], **rest}
