"""Which jobs' webhooks are due, and who delivers them."""

from __future__ import annotations

import time
from typing import Any

from jobs.job import ErrorCode, Job, Status, Webhook, WebhookState
from jobs.redis_store import JobStore
from tests.moves import begun, finish, queued, read

SHORT = 0.05  # seconds of a lease that is left to die
HOOK = Webhook(url="https://example.com/hook")


def ended(store: JobStore, **values: Any) -> Job:
    job = queued(store, webhook=HOOK, **values)
    finish(store, job.id, begun(store, job.id))
    return job


def test_a_webhook_is_due_when_its_job_ends(store: JobStore) -> None:
    job = queued(store, webhook=HOOK)
    assert store.get(job.id) == job
    assert store.webhooks_due() == []
    assert store.claim_webhook(job.id, 60) is None
    finish(store, job.id, begun(store, job.id))
    assert store.webhooks_due() == [job.id]
    claimed = store.claim_webhook(job.id, 60)
    assert claimed is not None
    assert claimed.webhook == Webhook(
        url=HOOK.url, state=WebhookState.pending, event="succeeded", attempts=1
    )
    assert store.record_delivery(job.id, 1, WebhookState.delivered)
    done = read(store, job.id)
    assert done.webhook is not None
    assert done.webhook.state is WebhookState.delivered
    assert store.webhooks_due() == []


def test_one_dispatcher_at_a_time_and_none_for_ever(store: JobStore) -> None:
    job = ended(store)
    assert store.claim_webhook(job.id, SHORT)
    assert store.claim_webhook(job.id, SHORT) is None
    time.sleep(2 * SHORT)  # the dispatcher died
    again = store.claim_webhook(job.id, 60)
    assert again is not None
    assert again.webhook is not None
    assert again.webhook.attempts == 2
    assert not store.record_delivery(job.id, 1, WebhookState.delivered)  # it was only slow
    assert store.record_delivery(job.id, 2, WebhookState.pending, "answered 500", 60)
    assert store.webhooks_due() == []
    found = read(store, job.id)
    assert found.webhook is not None
    assert found.webhook.detail == "answered 500"


def test_a_failed_delivery_is_due_again(store: JobStore) -> None:
    job = ended(store)
    store.claim_webhook(job.id, 60)
    store.record_delivery(job.id, 1, WebhookState.pending, "answered 500", SHORT)
    time.sleep(2 * SHORT)
    assert store.webhooks_due() == [job.id]


def test_every_end_is_announced(store: JobStore) -> None:
    canceled, late, lost = (queued(store, webhook=HOOK, start_within=s) for s in (60, SHORT, 60))
    store.cancel(canceled.id)
    begun(store, lost.id, SHORT)
    time.sleep(2 * SHORT)
    assert store.give_up(late.id, ErrorCode.expired, "late")
    assert store.give_up(lost.id, ErrorCode.lost, "lost")
    assert set(store.webhooks_due()) == {canceled.id, late.id, lost.id}
    result = store.claim_webhook(canceled.id, 60)
    assert result is not None
    assert result.webhook is not None
    assert result.webhook.event == "canceled"


def test_a_tombstone_remembers_only_an_undelivered_webhook(store: JobStore) -> None:
    job = ended(store)
    assert store.expire(job.id)
    claimed = store.claim_webhook(job.id, 60)
    assert claimed is not None
    assert claimed.status is Status.expired
    assert claimed.webhook is not None
    assert claimed.webhook.event == "succeeded"
    assert claimed.finished_at is not None
    assert store.record_delivery(job.id, 1, WebhookState.delivered)
    tomb = read(store, job.id)
    assert (tomb.webhook, tomb.finished_at) == (None, None)


def test_nobody_is_told_of_an_erased_job(store: JobStore) -> None:
    over, waiting = ended(store), queued(store, webhook=HOOK)
    store.cancel(over.id, erase=True)
    store.cancel(waiting.id, erase=True)
    for job in (over, waiting):
        assert store.expire(job.id)
        assert read(store, job.id).webhook is None
    assert store.webhooks_due() == []
