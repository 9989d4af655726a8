"""How jobs are written as Redis hashes, and read back by processes of another version: during an
upgrade several versions share one store.

What an earlier version does not know, it leaves alone: records that it can't read are skipped,
counted and logged, jobs that it can't do are left to workers of a newer version. Whoever changes
what a record means raises ``JOB_SCHEMA`` (CONTRIBUTING.md).
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from prometheus_client import Counter
from pydantic import ValidationError

from jobs.batch import Batch, is_batch_id, read_webhook
from jobs.errors import NewerRecord, UnreadableRecord
from jobs.job import JOB_SCHEMA, Job
from jobs.requests import TASKS, TaskRequest

T = TypeVar("T")
log = logging.getLogger(__name__)
UNREADABLE = Counter("mmml_unreadable_records", "records that could not be read, each time")

_JSON_FIELDS = ("request", "inputs", "images", "warnings", "error", "timings", "receipt")
_ALWAYS = {
    *("id", "task", "owner", "status"),
    *("schema_version", "pictures", "attempts", "faults", "done"),
}
# Written by scripts, or under other names.
_NOT_WRITTEN = {
    *("created_at", "started_at", "finished_at", "deadline", "hand_backs"),
    *("cancel_requested", "erasing", "webhook"),
}
_EMPTY = Job(id="", task="", request={}).model_dump(mode="json")


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_hash(job: Job) -> dict[str, str]:
    """Flat strings; what is empty or left to the store is left out."""
    raw = job.model_dump(mode="json", exclude=_NOT_WRITTEN)
    kept = {k: v for k, v in raw.items() if k in _ALWAYS or v != _EMPTY[k]}
    fields = {k: to_json(v) if k in _JSON_FIELDS else str(v) for k, v in kept.items()}
    if job.webhook:
        fields |= {"webhook": job.webhook.url, "webhook_state": job.webhook.state.value}
    return fields


def from_hash(fields: Mapping[bytes, bytes] | Any) -> Job | None:
    if not fields or b"most_jobs" in fields:  # nothing, or a batch
        return None
    text = _to_text(fields)
    parsed = {k: json.loads(text[k]) for k in _JSON_FIELDS if k in text}
    derived = {"erasing": "erase" in text, "webhook": read_webhook(text)}
    return Job.model_validate({"request": {}, **text, **parsed, **derived})


def _to_text(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in fields.items()}


def read_record(job_id: str, fields: Mapping[bytes, bytes]) -> Job | UnreadableRecord | None:
    """The job of a hash, None for an empty one."""
    return _read(job_id, fields, from_hash)


def read_job_or_batch(
    record_id: str, fields: Mapping[bytes, bytes]
) -> Job | Batch | UnreadableRecord | None:
    """The job or the batch of a hash, None for an empty one."""
    parse = _batch_from_hash if is_batch_id(record_id) else from_hash
    return _read(record_id, fields, parse)


def _batch_from_hash(fields: Mapping[bytes, bytes]) -> Batch | None:
    text = _to_text(fields)
    return Batch.model_validate({**text, "webhook": read_webhook(text)}) if text else None


def _read(
    record_id: str, fields: Mapping[bytes, bytes], parse: Callable[[Mapping[bytes, bytes]], T]
) -> T | UnreadableRecord:
    try:
        return parse(fields)
    except (ValueError, KeyError, TypeError) as error:
        UNREADABLE.inc()
        _warn(record_id, " ".join(str(error).split()))
        return UnreadableRecord(record_id)


@functools.lru_cache(maxsize=1000)
def _warn(job_id: str, reason: str) -> None:
    """Once for each record: it is met again and again."""
    log.warning(
        "the record of job %s can't be read: %s. If a newer version has written it, upgrade this "
        "process.",
        job_id,
        reason,
    )


def read_request(job: Job) -> TaskRequest:
    """What the client asked for. Raises NewerRecord for what only a newer version knows, and
    pydantic's ValidationError.
    """
    task = TASKS.get(job.task)
    if task is None or job.schema_version > JOB_SCHEMA:
        raise NewerRecord(f"job {job.id} is of a newer version: {job.task}, {job.schema_version}")
    try:
        return task.model_validate(job.request)
    except ValidationError as error:
        if any(found["type"] == "extra_forbidden" for found in error.errors()):
            raise NewerRecord(f"job {job.id} is of a newer version: {error}") from error
        raise


def to_mapping(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """A script's answer to HGETALL."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
