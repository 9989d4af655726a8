"""Batches count their jobs, whatever becomes of them, and end once."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from jobs.batch import Batch, BatchStatus
from jobs.errors import UnreadableRecord
from jobs.job import STREAM_START, ErrorCode, Failure, Status, WebhookState
from jobs.redis_scripts import Scripts
from jobs.redis_store import JobStore
from jobs.store import JobOutcome, OverQuota, Quota
from tests.moves import begun, claimed, died, finish, finished, queued

FAILED = JobOutcome(error=Failure(code=ErrorCode.model_error, detail="It went wrong."))


def batch_of(store: JobStore, owner: str = "me", **values: Any) -> str:
    limits = {"url": "", "most": 10, "most_jobs": 10, "lifetime": 60.0, **values}
    return store.batches.create(owner, **limits)


def found(store: JobStore, batch: str) -> Batch:
    result = store.batches.get(batch)
    assert result is not None
    return result


def counts(store: JobStore, batch: str) -> tuple[int, ...]:
    b = found(store, batch)
    return b.total, b.unfinished, b.succeeded, b.failed, b.canceled


def test_a_new_batch_is_open_and_empty(store: JobStore) -> None:
    batch = batch_of(store)
    assert re.fullmatch(r"batch_[0-9a-f]{32}", batch)
    new = found(store, batch)
    assert (new.status, new.owner, new.total, new.webhook) == (BatchStatus.open, "me", 0, None)
    assert store.batches.get("batch_" + "0" * 32) is None
    assert store.get(batch) is None  # it is no job
    assert store.get_readable([batch]) == []


def test_every_end_of_a_job_is_counted_once(store: JobStore) -> None:
    batch = batch_of(store)
    ids = [queued(store, owner="me", batch=batch).id for _ in range(5)]
    assert store.get(ids[0]).batch == batch  # type: ignore[union-attr]
    finished(store, ids[0])
    finished(store, ids[1], FAILED)
    store.cancel(ids[2])
    store.cancel(ids[2])
    assert counts(store, batch) == (5, 2, 1, 1, 1)
    died(store, ids[3])
    assert counts(store, batch) == (5, 2, 1, 1, 1)
    store.cancel(ids[3], erase=True)
    token = begun(store, ids[4])
    assert finish(store, ids[4], token)
    assert not finish(store, ids[4], token)
    store.expire_all(ids)
    store.expire_all(ids)
    assert counts(store, batch)[0] == 5
    assert [job_id for page in store.batches.members(batch) for job_id in page] == ids


def test_a_late_job_is_counted_as_failed(store: JobStore) -> None:
    batch = batch_of(store)
    job = queued(store, owner="me", batch=batch, start_within=0.01)
    time.sleep(0.05)
    assert store.give_up(job.id, ErrorCode.expired, "Too late.")
    assert counts(store, batch) == (1, 0, 0, 1, 0)


def test_it_ends_when_it_is_closed_and_all_have_ended(store: JobStore) -> None:
    batch = batch_of(store, url="https://example.com/hook")
    first, second = (queued(store, owner="me", batch=batch).id for _ in range(2))
    finished(store, first)
    store.batches.close(batch)
    store.batches.close(batch)
    assert found(store, batch).status is BatchStatus.closed
    assert store.webhooks_due() == []
    finished(store, second)
    ended = found(store, batch)
    assert ended.status is BatchStatus.ended
    assert ended.webhook is not None
    assert ended.webhook.state is WebhookState.pending
    assert store.webhooks_due() == [batch]
    events = store.events_after({batch: STREAM_START})[batch]
    assert events is not None
    assert [(e.job, e.status, e.final) for e in events] == [
        ("", "open", False),
        (first, "succeeded", False),
        ("", "closed", False),
        (second, "succeeded", False),
        ("", "ended", True),
    ]


def test_one_without_jobs_ends_when_it_is_closed(store: JobStore) -> None:
    batch = batch_of(store)
    store.batches.close(batch)
    assert found(store, batch).status is BatchStatus.ended


def test_jobs_that_end_at_the_same_time_end_it_once(store: JobStore) -> None:
    batch = batch_of(store, url="https://example.com/hook", most_jobs=64)
    ids = [queued(store, owner="me", batch=batch).id for _ in range(64)]
    store.batches.close(batch)
    held = [(c.job.id, c.token) for c in claimed(store)]
    store.begin_all(held)
    endings = [(job_id, token, JobOutcome()) for job_id, token in held]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.finish_all, (endings[n::8] for n in range(8))))
        list(pool.map(store.cancel, ids))
    assert counts(store, batch) == (64, 0, 64, 0, 0)
    events = store.events_after({batch: STREAM_START})[batch]
    assert events is not None
    assert [e.status for e in events].count("ended") == 1
    claims = [store.claim_webhook(batch, 60) for _ in range(3)]
    assert sum(claim is not None for claim in claims) == 1


@pytest.mark.parametrize("other", ["you", ""])
def test_another_owner_cannot_join(store: JobStore, other: str) -> None:
    batch = batch_of(store)
    with pytest.raises(OverQuota) as refused:
        queued(store, owner=other, batch=batch)
    assert refused.value.quota is Quota.batch
    assert found(store, batch).total == 0


def test_what_is_no_batch_takes_no_job(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    job = queued(store, owner="me")
    before = store.get(job.id)
    for batch in (job.id, "batch_" + "0" * 32, "*", "batch_\r\nDEL"):
        with pytest.raises(OverQuota):
            queued(store, owner="me", batch=batch)
    assert store.get(job.id) == before
    assert not list(redis_client.scan_iter(f"{prefix}members:*"))


def test_a_closed_or_full_batch_takes_no_job_and_leaves_no_trace(store: JobStore) -> None:
    closed, full = batch_of(store), batch_of(store, most_jobs=1)
    store.batches.close(closed)
    queued(store, owner="me", batch=full)
    for batch in (closed, full):
        before = found(store, batch)
        with pytest.raises(OverQuota):
            queued(store, owner="me", batch=batch)
        assert found(store, batch) == before
    assert store.usage("me").records == 1


def test_an_owner_has_so_many(store: JobStore) -> None:
    first, _second = batch_of(store, most=2), batch_of(store, most=2)
    with pytest.raises(OverQuota) as refused:
        batch_of(store, most=2)
    assert (refused.value.quota, refused.value.used) == (Quota.batches, 2)
    batch_of(store, owner="you", most=2)
    store.batches.erase(first)
    batch_of(store, most=2)


def test_it_lasts_as_long_as_a_job_is_unfinished(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    batch = batch_of(store, most=1, lifetime=1.0)
    job = queued(store, owner="me", batch=batch)
    time.sleep(1.2)
    assert found(store, batch).unfinished == 1
    with pytest.raises(OverQuota):
        batch_of(store, most=1)
    finished(store, job.id)
    time.sleep(1.2)
    assert store.batches.get(batch) is None
    assert store.events_after({batch: STREAM_START}) == {batch: None}
    assert not list(redis_client.scan_iter(f"{prefix}*{batch}*"))
    batch_of(store, most=1)  # it counts no longer


def test_a_job_that_outlives_its_batch_ends_all_the_same(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    batch = batch_of(store)
    job = queued(store, owner="me", batch=batch)
    redis_client.delete(f"{prefix}job:{batch}")
    finished(store, job.id)
    assert store.get(job.id).status is Status.succeeded  # type: ignore[union-attr]
    assert store.batches.get(batch) is None


def test_what_an_earlier_version_has_ended_is_counted_when_it_expires(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    batch = batch_of(store)
    job = queued(store, owner="me", batch=batch)
    store.batches.close(batch)
    redis_client.hset(f"{prefix}job:{job.id}", "status", "succeeded")
    store.expire(job.id)
    assert counts(store, batch) == (1, 0, 1, 0, 0)
    assert found(store, batch).status is BatchStatus.ended


def test_erasing_cancels_and_erases_its_jobs_and_nobody_is_notified(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    batch = batch_of(store, url="https://example.com/hook")
    done, running, waiting = (queued(store, owner="me", batch=batch).id for _ in range(3))
    stranger = queued(store, owner="me").id
    finished(store, done)
    token = begun(store, running)
    store.batches.erase(batch)
    assert store.batches.get(batch) is None
    assert store.webhooks_due() == []
    assert sorted(store.claim_results(3600, 10, 60)) == sorted([done, waiting])
    assert store.get(running).cancel_requested  # type: ignore[union-attr]
    assert store.finish_canceled(running, token)
    assert store.claim_results(3600, 10, 60) == [running]
    assert store.get(stranger).status is Status.queued  # type: ignore[union-attr]
    assert not list(redis_client.scan_iter(f"{prefix}*{batch}*"))
    store.batches.erase(batch)  # once more, as after a lost answer


def test_an_erasure_that_was_interrupted_is_completed(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    batch = batch_of(store, url="https://example.com/hook")
    job = queued(store, owner="me", batch=batch)
    Scripts(redis_client, prefix).move("close_batch", batch, "webhook")  # and its gateway died
    with pytest.raises(OverQuota):
        queued(store, owner="me", batch=batch)
    store.batches.erase(batch)
    assert store.get(job.id).status is Status.canceled  # type: ignore[union-attr]
    assert store.batches.get(batch) is None


def test_a_batch_of_another_version_is_no_unknown_one(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    batch = batch_of(store)
    redis_client.hset(f"{prefix}job:{batch}", "total", "many")
    with pytest.raises(UnreadableRecord):
        store.batches.get(batch)


def test_its_jobs_are_listed(store: JobStore) -> None:
    batch = batch_of(store)
    ids = [queued(store, owner="me", batch=batch).id for _ in range(3)]
    queued(store, owner="me")
    page, cursor = store.list_jobs(None, 2, None, batch=batch)
    assert [job.id for job in page] == ids[:0:-1]
    rest, end = store.list_jobs(None, 2, cursor, batch=batch)
    assert ([job.id for job in rest], end) == (ids[:1], None)
