"""Moves of several jobs in one round trip: each is as good as alone."""

from __future__ import annotations

import redis

from jobs.connections import connect
from jobs.errors import StoreError
from jobs.job import Failure, Job, Status, new_id
from jobs.redis_store import JobStore
from jobs.store import IdempotencyKey, JobOutcome, NewJob
from tests.moves import a_job, claimed, queued


def statuses(store: JobStore, jobs: list[Job]) -> list[Status | None]:
    return [job.status if job else None for job in store.get_all([job.id for job in jobs])]


def test_each_is_created_or_refused_by_itself(store: JobStore) -> None:
    first, second, third = a_job(), a_job(), a_job()
    once = IdempotencyKey("name", "what", 60)
    offers = [NewJob(first), NewJob(second, once), NewJob(first), NewJob(third, once)]
    answers = store.create_all(offers).jobs
    assert [job.id if isinstance(job, Job) else job for job in answers] == [
        first.id,
        second.id,
        None,
        None,
    ]
    assert statuses(store, [first, second, third]) == [Status.queued, Status.queued, None]
    assert store.load().waiting == 2


def test_records_come_in_the_order_asked_for(store: JobStore) -> None:
    jobs = [a_job() for _ in range(3)]
    created = store.create_all([NewJob(job) for job in jobs]).jobs
    wanted = [jobs[2].id, "0" * 32, jobs[0].id]
    assert store.get_all(wanted) == [created[2], None, created[0]]


def test_each_ends_as_its_own_outcome_says(store: JobStore) -> None:
    good, bad, lost = (queued(store) for _ in range(3))
    tokens = {held.job.id: held.token for held in claimed(store)}
    store.begin_all([*tokens.items()])
    failure = JobOutcome(error=Failure(code="model_error", detail="It broke."))
    endings = [
        (good.id, tokens[good.id], JobOutcome()),
        (bad.id, tokens[bad.id], failure),
        (lost.id, "wrong", JobOutcome()),
    ]
    assert store.finish_all(endings) == [True, True, False]
    assert statuses(store, [good, bad, lost]) == [Status.succeeded, Status.failed, Status.running]


def test_what_changed_together_is_published_together(valkey: str) -> None:
    client = connect(valkey)
    store = JobStore(client, prefix=f"told-{new_id()}:")
    jobs = [a_job(), a_job()]
    store.create_all([NewJob(job) for job in jobs])
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(store.change_channel)
        heard.get_message(timeout=5)
        held = [(c.job.id, c.token) for c in claimed(store)]
        store.begin_all(held)
        store.finish_all([(*each, JobOutcome()) for each in held])
        result = [heard.get_message(timeout=5) for _ in range(2)]
    first, second = (jobs[0].id, jobs[1].id)
    lines = [message["data"].decode() for message in result if message]
    assert lines == [f"{first}\n{second}", f"{first} succeeded\n{second} succeeded"]
    client.close()


def test_a_server_that_was_restarted_learns_the_moves_again(valkey: str) -> None:
    client = connect(valkey)
    store = JobStore(client, prefix=f"fresh-{new_id()}:")
    client.script_flush()
    jobs = [a_job(), a_job()]
    assert all(store.create_all([NewJob(job) for job in jobs]).jobs)
    client.script_flush()
    assert len(claimed(store)) == 2
    client.close()


def test_one_refusal_does_not_hide_what_was_done(valkey: str) -> None:
    client: redis.Redis = connect(valkey)
    prefix = f"refused-{new_id()}:"
    store = JobStore(client, prefix=prefix)
    jobs = [a_job(), a_job(), a_job()]
    client.set(f"{prefix}events:{jobs[1].id}", "not a stream")
    answers = store.create_all([NewJob(job) for job in jobs]).jobs
    assert isinstance(answers[0], Job)
    assert isinstance(answers[2], Job)
    assert isinstance(answers[1], StoreError)
    client.close()
