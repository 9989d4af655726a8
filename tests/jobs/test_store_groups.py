"""Moves of several jobs in one round trip: each is as good as alone, on both stores."""

from __future__ import annotations

import time
from typing import Any

import redis

from jobs.errors import StoreError
from jobs.job import Failure, Job, Status, new_id
from jobs.redis_store import RedisJobStore, connect
from jobs.store import JobStore, OnceKey, Outcome


def a_job(**values: Any) -> Job:
    made = {"id": new_id(), "task": "synthesize", "created_at": time.time(), "request": {}}
    return Job(**{**made, **values})


def statuses(store: JobStore, jobs: list[Job]) -> list[Status | None]:
    return [job.status if job else None for job in store.get_all([job.id for job in jobs])]


def test_each_is_created_or_refused_by_itself(store: JobStore) -> None:
    first, second, third = a_job(), a_job(), a_job()
    once = OnceKey("name", "what", 60)
    answers = store.create_all([(first, None), (second, once), (first, None), (third, once)])
    assert answers == [True, True, False, False]
    assert statuses(store, [first, second, third]) == [Status.queued, Status.queued, None]
    assert store.depth() == 2


def test_records_come_in_the_order_asked_for(store: JobStore) -> None:
    jobs = [a_job() for _ in range(3)]
    store.create_all([(job, None) for job in jobs])
    wanted = [jobs[2].id, "0" * 32, jobs[0].id]
    assert store.get_all(wanted) == [jobs[2], None, jobs[0]]


def test_only_jobs_that_nobody_claimed_are_started_together(store: JobStore) -> None:
    fresh, held, dead, over = (a_job() for _ in range(4))
    store.create_all([(job, None) for job in (fresh, held, dead, over)])
    assert store.start(held.id, "other", 10)
    assert store.start(dead.id, "other", 0.01)
    assert store.cancel(over.id) is Status.canceled
    time.sleep(0.05)
    claims = [(job.id, f"t-{job.id}") for job in (held, fresh, dead, over)]
    found = store.start_fresh([*claims, ("0" * 32, "t")], 10)
    started = found[1]
    assert isinstance(started, Job)
    assert (started.id, started.attempts, started.status) == (fresh.id, 1, Status.running)
    assert found == [None, started, None, None, None]


def test_a_job_handed_back_is_fresh_again(store: JobStore) -> None:
    job = a_job()
    store.create(job)
    assert store.start(job.id, "first", 10)
    assert store.release(job.id, "first")
    time.sleep(0.01)
    (found,) = store.start_fresh([(job.id, "second")], 10)
    assert isinstance(found, Job)


def test_each_ends_as_its_own_outcome_says(store: JobStore) -> None:
    good, bad, lost = a_job(), a_job(), a_job()
    store.create_all([(job, None) for job in (good, bad, lost)])
    store.start_fresh([(job.id, "t") for job in (good, bad, lost)], 10)
    failure = Outcome(error=Failure(code="model_error", detail="It broke."))
    endings = [(good.id, "t", Outcome()), (bad.id, "t", failure), (lost.id, "wrong", Outcome())]
    assert store.finish_all(endings) == [True, True, False]
    assert statuses(store, [good, bad, lost]) == [Status.succeeded, Status.failed, Status.running]


def test_what_changed_together_is_published_together(valkey: str) -> None:
    client = connect(valkey)
    store = RedisJobStore(client, prefix=f"told-{new_id()}:")
    jobs = [a_job(), a_job()]
    store.create_all([(job, None) for job in jobs])
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(store.changed)
        heard.get_message(timeout=5)
        store.start_fresh([(job.id, "t") for job in jobs], 10)
        store.finish_all([(job.id, "t", Outcome()) for job in jobs])
        told = [heard.get_message(timeout=5) for _ in range(2)]
    first, second = (jobs[0].id, jobs[1].id)
    lines = [message["data"].decode() for message in told if message]
    assert lines == [f"{first}\n{second}", f"{first} succeeded\n{second} succeeded"]
    client.close()


def test_a_server_that_was_restarted_learns_the_moves_again(valkey: str) -> None:
    client = connect(valkey)
    store = RedisJobStore(client, prefix=f"fresh-{new_id()}:")
    client.script_flush()
    jobs = [a_job(), a_job()]
    assert store.create_all([(job, None) for job in jobs]) == [True, True]
    client.script_flush()
    assert store.start(jobs[0].id, "t", 10)
    client.close()


def test_one_refusal_does_not_hide_what_was_done(valkey: str) -> None:
    client: redis.Redis = connect(valkey)
    prefix = f"refused-{new_id()}:"
    store = RedisJobStore(client, prefix=prefix)
    jobs = [a_job(), a_job(), a_job()]
    client.set(f"{prefix}events:{jobs[1].id}", "not a stream")
    answers = store.create_all([(job, None) for job in jobs])
    assert [answers[0], answers[2]] == [True, True]
    assert isinstance(answers[1], StoreError)
    client.close()
