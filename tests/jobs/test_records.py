"""Records of other versions: skipped, counted, never in the way of others."""

from __future__ import annotations

import time

import pytest
import redis
from prometheus_client import REGISTRY

from jobs.errors import NewerRecord, UnreadableRecord
from jobs.job import JOB_SCHEMA, ErrorCode, Failure, Job
from jobs.records import read_record, read_request, to_hash
from jobs.redis_store import JobStore
from tests.moves import a_job, claimed, queued


def test_unknown_fields_are_no_fault() -> None:
    job = a_job()
    fields = {k.encode(): v.encode() for k, v in to_hash(job).items()}
    assert read_record(job.id, {**fields, b"mood": b"good"}) == job


def test_an_error_code_of_a_newer_version_is_internal() -> None:
    job = a_job()
    fields = {k.encode(): v.encode() for k, v in to_hash(job).items()}
    failed = b'{"code": "refused", "detail": "Such pictures are not made here."}'
    read = read_record(job.id, {**fields, b"status": b"failed", b"error": failed})
    assert isinstance(read, Job)
    assert read.error == Failure(code=ErrorCode.internal, detail="Such pictures are not made here.")
    with pytest.raises(ValueError, match="7 is not a valid ErrorCode"):
        ErrorCode(7)


def unreadable() -> float:
    return REGISTRY.get_sample_value("mmml_unreadable_records_total") or 0.0


@pytest.mark.parametrize(
    "fields",
    [
        {b"status": b"paused"},
        {b"priority": b"urgent"},
        {b"images": b"[{"},
        {b"pictures": b"many"},
        {b"request": b"\xff"},
        {b"request": b"[]"},
    ],
)
def test_what_cannot_be_read_is_counted_and_named_without_captions(
    fields: dict[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    job = a_job(request={"text": "a secret bird"})
    before = unreadable()
    written = {k.encode(): v.encode() for k, v in to_hash(job).items()}
    assert isinstance(read_record(job.id, {**written, **fields}), UnreadableRecord)
    assert unreadable() == before + 1
    assert job.id in caplog.text
    assert "secret" not in caplog.text


def test_an_unreadable_record_is_left_out_of_listings(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    jobs = [queued(store, owner="ann") for _ in range(3)]
    redis_client.hset(f"{prefix}job:{jobs[1].id}", "status", "paused")
    page, _ = store.list_jobs(None, 10, None, "ann")
    assert [job.id for job in page] == [jobs[2].id, jobs[0].id]
    with pytest.raises(UnreadableRecord):
        store.get(jobs[1].id)
    assert store.get_readable([job.id for job in jobs]) == [jobs[0], jobs[2]]


def test_an_unreadable_job_is_not_claimed_and_keeps_its_deadline(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    spoilt, fine = queued(store, start_within=0.2), queued(store)
    redis_client.hset(f"{prefix}job:{spoilt.id}", "receipt", "{")
    assert [c.job.id for c in claimed(store)] == [fine.id]
    assert not store.dead_leases()
    assert store.usage("").unfinished == 2
    time.sleep(0.25)
    assert store.past_deadline() == [spoilt.id]


def test_requests_of_newer_versions_are_known_as_such() -> None:
    request = {"text": "a bird"}
    assert read_request(a_job(request=request)).text == "a bird"
    newer: list[dict[str, object]] = [
        {"schema_version": JOB_SCHEMA + 1},
        {"task": "sculpt"},
        {"request": {**request, "mood": "good"}},
    ]
    for values in newer:
        with pytest.raises(NewerRecord):
            read_request(Job.model_validate({**a_job().model_dump(), **values}))
    with pytest.raises(ValueError, match="count"):
        read_request(a_job(request={**request, "count": 99}))
