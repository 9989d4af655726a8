"""What one owner may have: unfinished jobs, records, bytes of pictures, tombstones."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import redis

from jobs.job import ErrorCode, ImageRecord, Job
from jobs.redis_store import JobStore
from jobs.store import (
    MOST_TOMBSTONES,
    IdempotencyKey,
    JobOutcome,
    NewJob,
    OverQuota,
    Quota,
    Usage,
)
from tests.moves import a_job, begun, create, finish, finished, queued, read, release

MB = 2**20


def test_finished_jobs_are_records_too(store: JobStore) -> None:
    for _ in range(2):
        finished(store, queued(store, owner="me", max_records=2).id)
    with pytest.raises(OverQuota) as caught:
        create(store, NewJob(a_job(owner="me"), max_records=2))
    assert (caught.value.quota, caught.value.used) == (Quota.records, 2)
    assert queued(store, owner="you", max_records=2)
    (job, *_), _ = store.list_jobs(None, 10, None, owner="me")
    store.expire(job.id)
    assert queued(store, owner="me", max_records=2)


def test_jobs_of_one_call_are_counted_one_by_one(store: JobStore) -> None:
    jobs = [NewJob(a_job(owner="me"), max_stored=5 * MB, stored=2 * MB) for _ in range(4)]
    answers = store.create_all(jobs).jobs
    assert [isinstance(answer, Job) for answer in answers] == [True, True, False, False]
    refusal = answers[2]
    assert isinstance(refusal, OverQuota)
    assert (refusal.quota, refusal.used) == (Quota.stored, 4 * MB)
    assert store.usage("me") == Usage(2, 2, 4 * MB)


def test_bytes_are_reserved_then_counted_then_given_back(store: JobStore) -> None:
    job = queued(store, owner="me", max_stored=10 * MB, stored=8 * MB)
    with pytest.raises(OverQuota):
        create(store, NewJob(a_job(owner="me"), max_stored=10 * MB, stored=3 * MB))
    images = [ImageRecord(index=0, seed=0)]
    finished(store, job.id, JobOutcome(images, stored=2 * MB))
    assert store.usage("me").stored == 2 * MB
    assert store.expire(job.id)
    assert store.usage("me") == Usage(0, 0, 0)
    store.expire(job.id)
    assert store.usage("me").stored == 0


def ended_by_cancel(store: JobStore, job: Job) -> None:
    store.cancel(job.id)


def ended_by_its_worker(store: JobStore, job: Job) -> None:
    token = begun(store, job.id)
    store.cancel(job.id)
    assert store.finish_canceled(job.id, token)


def ended_by_release(store: JobStore, job: Job) -> None:
    token = begun(store, job.id)
    store.cancel(job.id)
    assert release(store, job.id, token)


def ended_with_its_worker(store: JobStore, job: Job) -> None:
    begun(store, job.id, 0.01)
    store.cancel(job.id)
    time.sleep(0.03)
    assert store.requeue(job.id, 20)


def given_up(store: JobStore, job: Job) -> None:
    begun(store, job.id, 0.01)
    time.sleep(0.03)
    assert store.give_up(job.id, ErrorCode.lost, "The worker died.")


def failed(store: JobStore, job: Job) -> None:
    assert finish(store, job.id, begun(store, job.id), JobOutcome())


@pytest.mark.parametrize(
    "end",
    [
        ended_by_cancel,
        ended_by_its_worker,
        ended_by_release,
        ended_with_its_worker,
        given_up,
        failed,
    ],
)
def test_however_a_job_ends_its_uploads_are_given_back(store: JobStore, end: object) -> None:
    inputs = {"image": "jobs/x/in-image.png"}
    job = queued(store, owner="me", inputs=inputs, max_stored=10 * MB, stored=8 * MB)
    assert store.claim_inputs(9, 60) == []
    end(store, job)  # type: ignore[operator]
    assert store.usage("me") == Usage(0, 1, 0)
    assert store.claim_inputs(9, 60) == [job.id]
    assert store.claim_inputs(9, 60) == []
    store.forget_inputs([job.id])
    assert read(store, job.id).inputs == {}


def test_a_job_without_uploads_leaves_none(store: JobStore) -> None:
    finished(store, queued(store).id)
    assert store.claim_inputs(9, 60) == []


def test_without_a_limit_nothing_is_counted(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    job = queued(store, owner="me", stored=8 * MB)
    finished(store, job.id, JobOutcome(stored=MB))
    store.expire(job.id)
    assert store.usage("me").stored == 0
    assert not redis_client.exists(f"{prefix}stored")


def erased(store: JobStore, owner: str, count: int, keys: bool = False) -> list[str]:
    jobs = [a_job(owner=owner) for _ in range(count)]
    once = [IdempotencyKey(f"once-{job.id}", "f", 3600) if keys else None for job in jobs]
    store.create_all([NewJob(job, key) for job, key in zip(jobs, once, strict=True)])
    for job in jobs:
        store.cancel(job.id, erase=True)
        assert store.expire(job.id)
    return [job.id for job in jobs]


def test_a_key_that_is_used_again_outlives_the_tombstone_of_its_first_job(store: JobStore) -> None:
    once = IdempotencyKey("once", "f", 0.01)
    first = queued(store, once, owner="me")
    store.cancel(first.id, erase=True)
    assert store.expire(first.id)
    time.sleep(0.05)
    again = queued(store, replace(once, ttl=3600), owner="me")
    erased(store, "me", MOST_TOMBSTONES)
    found = store.get_idempotency_record("once")
    assert (found and found.job_id, store.get(first.id)) == (again.id, None)


def test_tombstones_are_bounded(store: JobStore, redis_client: redis.Redis, prefix: str) -> None:
    (other,) = erased(store, "you", 1)
    first = erased(store, "me", 10, keys=True)
    assert store.get_idempotency_record(f"once-{first[0]}")
    last = erased(store, "me", MOST_TOMBSTONES - 1)
    assert store.exist_all([*first, last[0], other]) == [*[False] * 9, True, True, True]
    assert store.get_idempotency_record(f"once-{first[0]}") is None
    assert store.get_idempotency_record(f"once-{first[9]}")
    tombstones = f"{prefix}tombstones:me"
    assert redis_client.llen(tombstones) == MOST_TOMBSTONES
    assert 0 < redis_client.ttl(tombstones) <= 7 * 24 * 3600
    keys = [f"{prefix}job:{i}" for i in last[-100:]]
    weight = sum(int(redis_client.memory_usage(key) or 0) for key in keys) / len(keys)
    assert weight < 512  # so that those of one owner take less than 2.5 MB


def test_an_owners_unfinished_jobs_are_counted(store: JobStore) -> None:
    first, second = queued(store, owner="me"), queued(store, owner="me")
    queued(store, owner="you")
    assert store.usage("me").unfinished == 2
    token = begun(store, first.id)
    assert store.usage("me").unfinished == 2
    finish(store, first.id, token)
    store.cancel(second.id)
    assert (store.usage("me").unfinished, store.usage("you").unfinished) == (0, 1)


def test_an_owner_has_no_more_unfinished_jobs_than_it_may(store: JobStore) -> None:
    jobs = [NewJob(a_job(owner="me"), max_unfinished=2) for _ in range(3)]
    answers = store.create_all(jobs).jobs
    assert [isinstance(answer, Job) for answer in answers] == [True, True, False]
    refusal = answers[2]
    assert isinstance(refusal, OverQuota)
    assert refusal.used == 2
    with pytest.raises(OverQuota):
        create(store, jobs[2])
    store.cancel(jobs[0].job.id)
    assert create(store, jobs[2])
