"""Clients' servers are notified at least once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import redis
import standardwebhooks

from app.reconciler.__main__ import webhook_dispatcher
from app.reconciler.webhooks import WebhookDispatcher
from app.settings import WebhookSettings
from app.webhooks.addresses import AddressPolicy
from app.webhooks.sender import WebhookSender
from app.webhooks.signing import new_secret
from jobs.job import ErrorCode, ImageRecord, Job, Status, Webhook, WebhookState
from jobs.redis_store import JobStore
from jobs.store import JobOutcome
from tests.app.reconciler.test_reconcile import queued
from tests.app.webhooks.receiver import HERE, Receiver, answering
from tests.moves import finished

Eventually = Callable[[Callable[[], bool], float], None]
SECRET = new_secret()


def a_dispatcher(store: JobStore, **values: Any) -> WebhookDispatcher:
    made = WebhookDispatcher(
        store, WebhookSender(HERE, 10), lambda _: [SECRET], [0.05, 0.05], lease_seconds=60
    )
    return replace(made, **values)


def deliver(made: WebhookDispatcher) -> int:
    """One round, to its end."""

    async def once() -> int:
        found = await made.run_once()
        await made.drain(20)
        return found

    return asyncio.run(once())


def ended(store: JobStore, url: str, outcome: JobOutcome | None = None) -> Job:
    job = queued(store, webhook=Webhook(url=url))
    finished(store, job.id, outcome)
    return job


def webhook_of(store: JobStore, job: Job) -> Webhook:
    found = store.get(job.id)
    assert found is not None
    assert found.webhook is not None
    return found.webhook


def test_a_signed_message_says_what_became_of_the_job(store: JobStore) -> None:
    image = ImageRecord(index=0, seed=3, width=4, height=5, sha256="ab", blob="secret-key")
    with Receiver().running() as receiver:
        job = ended(store, receiver.url(), JobOutcome([image]))
        assert deliver(a_dispatcher(store)) == 1
        assert deliver(a_dispatcher(store)) == 0
    (message,) = receiver.got
    assert standardwebhooks.Webhook(SECRET).verify(message.body, message.headers) == message.json
    assert message.headers["webhook-id"] == f"msg_{job.id}"
    assert message.headers["content-type"] == "application/json"
    assert message.json["type"] == "job.succeeded"
    assert message.json["data"]["images"][0]["url"] == f"/jobs/{job.id}/images/0"
    assert b"secret-key" not in message.body
    assert len(message.body) < 20_000
    assert webhook_of(store, job).state is WebhookState.delivered


def test_a_failed_delivery_is_made_again_under_the_same_id(store: JobStore) -> None:
    receiver = Receiver([answering(500), answering(200)])
    with receiver.running():
        job = ended(store, receiver.url())
        deliver(a_dispatcher(store))
        waiting = webhook_of(store, job)
        assert waiting.state is WebhookState.pending
        assert waiting.detail == "The receiver answered 500."
        time.sleep(0.1)
        deliver(a_dispatcher(store))
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    found = webhook_of(store, job)
    assert (found.state, found.attempts, found.detail) == (WebhookState.delivered, 2, "")


def test_there_is_a_last_attempt(store: JobStore) -> None:
    receiver = Receiver([answering(500)])
    with receiver.running():
        job = ended(store, receiver.url())
        for _ in range(5):
            deliver(a_dispatcher(store))
            time.sleep(0.1)
    assert len(receiver.got) == 3  # two pauses, three attempts
    assert webhook_of(store, job).state is WebhookState.failed


def test_a_receiver_that_wants_no_more_is_left_alone(store: JobStore) -> None:
    receiver = Receiver([answering(410)])
    with receiver.running():
        job = ended(store, receiver.url())
        deliver(a_dispatcher(store))
    assert webhook_of(store, job).state is WebhookState.failed


def test_pauses_are_spread_and_a_receivers_wish_is_heard(store: JobStore) -> None:
    class Far(random.Random):
        def uniform(self, a: float, b: float) -> float:
            assert (a, b) == (1, 1.25)
            return b

    receiver = Receiver([answering(503, "retry-after: 3600"), answering(503)])
    with receiver.running():
        slow, spread = ended(store, receiver.url()), ended(store, receiver.url())
        started = time.monotonic()
        deliver(a_dispatcher(store, delays=[0.4], rng=Far()))
        assert webhook_of(store, slow).attempts == 1
        while not store.webhooks_due():
            assert time.monotonic() - started < 10
            time.sleep(0.01)
        assert time.monotonic() - started >= 0.5
        assert len(store.webhooks_due()) == 1  # the other one asked for an hour
    assert {webhook_of(store, j).state for j in (slow, spread)} == {WebhookState.pending}


def test_a_dispatcher_that_dies_over_it_is_replaced(store: JobStore) -> None:
    """Taken up, perhaps even delivered, but never reported."""
    with Receiver().running() as receiver:
        job = ended(store, receiver.url())
        assert store.claim_webhook(job.id, 1.5)
        assert deliver(a_dispatcher(store)) == 0
        time.sleep(1.6)
        assert deliver(a_dispatcher(store)) == 1
    assert [m.headers["webhook-id"] for m in receiver.got] == [f"msg_{job.id}"]
    assert webhook_of(store, job).attempts == 2


def test_a_dispatcher_asked_to_end_leaves_the_rest_to_the_next(store: JobStore) -> None:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def hasty(made: WebhookDispatcher) -> None:
        await made.run_once()
        await made.drain(0.2)

    receiver = Receiver([hang, answering(200)])
    with receiver.running():
        job = ended(store, receiver.url())
        asyncio.run(hasty(a_dispatcher(store, lease_seconds=0.5)))
        assert webhook_of(store, job).state is WebhookState.pending
        time.sleep(0.5)
        assert deliver(a_dispatcher(store)) == 1
    assert webhook_of(store, job).state is WebhookState.delivered


def test_two_dispatchers_at_once_deliver_each_once(store: JobStore) -> None:
    with Receiver().running() as receiver:
        jobs = [ended(store, receiver.url()) for _ in range(20)]
        both = [
            threading.Thread(target=deliver, args=(a_dispatcher(store, max_per_host=20),))
            for _ in range(2)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(30)
    assert sorted(m.headers["webhook-id"] for m in receiver.got) == sorted(
        f"msg_{j.id}" for j in jobs
    )


def test_inner_addresses_are_never_called(store: JobStore) -> None:
    with Receiver().running() as receiver:
        job = ended(store, receiver.url())
        strict = WebhookSender(AddressPolicy(allow_http=True, ports=()), 10)
        deliver(a_dispatcher(store, sender=strict))
        assert receiver.got == []
    found = webhook_of(store, job)
    assert found.state is WebhookState.failed
    assert "not a public address" in found.detail


def test_an_expired_job_is_still_announced(store: JobStore) -> None:
    with Receiver().running() as receiver:
        job = ended(store, receiver.url())
        store.expire(job.id)
        deliver(a_dispatcher(store))
    (message,) = receiver.got
    assert message.json["type"] == "job.succeeded"
    assert message.json["data"] == {"id": job.id, "task": "synthesize", "status": "expired"}


def test_one_bad_message_holds_up_no_other(store: JobStore) -> None:
    def secrets(job: Job) -> list[str]:
        if job.id == bad.id:
            raise ValueError("no secret")
        return [SECRET]

    with Receiver().running() as receiver:
        bad, good = ended(store, receiver.url()), ended(store, receiver.url())
        deliver(a_dispatcher(store, secrets=secrets))
    assert webhook_of(store, bad).state is WebhookState.pending
    assert webhook_of(store, good).state is WebhookState.delivered


def test_as_the_reconciler_runs_it(store: JobStore, eventually: Eventually) -> None:
    settings = WebhookSettings(
        webhook_allow_http=True, webhook_ports=(), webhook_networks=HERE.networks
    )
    stop = threading.Event()
    thread = threading.Thread(target=webhook_dispatcher(settings, store).run, args=(stop,))
    thread.start()
    try:
        with Receiver().running() as receiver:
            job = ended(store, receiver.url())
            eventually(lambda: webhook_of(store, job).state is WebhookState.delivered, 20)
    finally:
        stop.set()
        thread.join(20)
    secret = store.service_secret("webhooks", "another")
    standardwebhooks.Webhook(secret).verify(receiver.got[0].body, receiver.got[0].headers)
    assert store.get(job.id)
    assert not thread.is_alive()


@pytest.mark.parametrize("status", [Status.failed, Status.canceled])
def test_other_ends(store: JobStore, status: Status) -> None:
    with Receiver().running() as receiver:
        job = queued(store, webhook=Webhook(url=receiver.url()), start_within=0.0)
        if status is Status.canceled:
            store.cancel(job.id)
        else:
            store.give_up(job.id, ErrorCode.expired, "Too late.")
        deliver(a_dispatcher(store))
    assert receiver.got[0].json["type"] == f"job.{status}"
    assert receiver.got[0].json["data"]["status"] == status


def test_a_slow_host_does_not_hold_up_the_others(store: JobStore) -> None:
    """It has many deliveries due, all of them before that of another host."""

    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3)
        writer.close()

    slow, quick = Receiver([hang]), Receiver()
    with slow.running(), quick.running():
        many = [ended(store, slow.url()) for _ in range(6)]
        other = ended(store, quick.url())
        made = a_dispatcher(store, max_per_host=2)

        async def run() -> int:
            taken = await made.run_once()
            while webhook_of(store, other).state is not WebhookState.delivered:
                await asyncio.sleep(0.02)
            taken += await made.run_once()
            await made.drain(0)
            return taken

        assert asyncio.run(asyncio.wait_for(run(), 20)) == 3
    assert sum(webhook_of(store, job).attempts for job in many) == 2
    assert len(quick.got) == 1


def test_what_stands_back_is_due_again_without_an_attempt(store: JobStore) -> None:
    job = ended(store, "https://receiver.example/hook")
    store.postpone_webhooks([job.id], 0.2)
    assert store.webhooks_due() == []
    time.sleep(0.3)
    assert store.webhooks_due() == [job.id]
    assert webhook_of(store, job).attempts == 0
    assert store.claim_webhook(job.id, 60)
    store.postpone_webhooks([job.id], 0)  # a delivery under way keeps its time
    assert store.webhooks_due() == []


def a_batch(store: JobStore, url: str, jobs: int = 1) -> tuple[str, list[str]]:
    batch = store.batches.create("", url, 9, 99, 3600)
    return batch, [queued(store, batch=batch).id for _ in range(jobs)]


def test_the_end_of_a_batch_is_announced_once(store: JobStore, redis_client: redis.Redis) -> None:
    """Whoever ends its last jobs at the same time, and however many reconcilers there are."""
    with Receiver().running() as receiver:
        batch, jobs = a_batch(store, receiver.url(), jobs=8)
        with ThreadPoolExecutor(9) as pool:  # as two gateways and their clients
            beside = JobStore(redis_client, store.change_channel.removesuffix("changed"))
            for job in jobs:
                pool.submit(store.cancel, job)
                pool.submit(beside.cancel, job)
            pool.submit(beside.batches.close, batch)
            pool.submit(store.batches.close, batch)
        dispatchers = [a_dispatcher(each) for each in (store, beside, store)]
        with ThreadPoolExecutor(3) as pool:
            assert sum(pool.map(deliver, dispatchers)) == 1
    (message,) = receiver.got
    assert standardwebhooks.Webhook(SECRET).verify(message.body, message.headers) == message.json
    assert message.headers["webhook-id"] == f"msg_{batch}"
    assert message.json["type"] == "batch.ended"
    found = store.batches.get(batch)
    assert found is not None
    assert message.json["data"] == found.model_dump(mode="json", exclude={"webhook"})
    assert (message.json["data"]["status"], message.json["data"]["canceled"]) == ("ended", 8)
    assert found.webhook is not None
    assert found.webhook.state is WebhookState.delivered


def test_a_batchs_failed_delivery_is_made_again(store: JobStore) -> None:
    receiver = Receiver([answering(500), answering(200)])
    with receiver.running():
        batch, _ = a_batch(store, receiver.url(), jobs=0)
        store.batches.close(batch)
        deliver(a_dispatcher(store))
        time.sleep(0.1)
        deliver(a_dispatcher(store))
    first, second = receiver.got
    assert first.body == second.body
    assert store.batches.get(batch).webhook.attempts == 2  # type: ignore[union-attr]


def test_batches_share_their_hosts_room(store: JobStore) -> None:
    with Receiver().running() as receiver:
        for _ in range(3):
            store.batches.close(a_batch(store, receiver.url(), jobs=0)[0])
        assert deliver(a_dispatcher(store, max_per_host=2)) == 2
    assert len(receiver.got) == 2


def test_an_erased_or_expired_batch_is_not_announced(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    with Receiver().running() as receiver:
        erased, gone = (a_batch(store, receiver.url(), jobs=0)[0] for _ in range(2))
        store.batches.close(erased)
        store.batches.close(gone)
        store.batches.erase(erased)
        redis_client.delete(f"{prefix}job:{gone}")
        deliver(a_dispatcher(store))
        assert store.webhooks_due() == []
    assert receiver.got == []


def test_a_batch_of_another_version_waits(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    with Receiver().running() as receiver:
        batch, _ = a_batch(store, receiver.url(), jobs=0)
        store.batches.close(batch)
        redis_client.hset(f"{prefix}job:{batch}", "total", "many")
        deliver(a_dispatcher(store))
        assert receiver.got == []
        assert redis_client.zscore(f"{prefix}webhooks", batch)
