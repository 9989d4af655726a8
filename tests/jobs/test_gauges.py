"""What operators watch of the store."""

from __future__ import annotations

import time

import redis

from app.local.broker import BROKER_MEMORY
from jobs.job import Priority
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest
from tests.moves import begun, claimed, finished, queued


def test_an_empty_store(store: JobStore) -> None:
    gauges = store.gauges(60)
    assert {w.jobs for w in gauges.waiting.values()} == {0}
    assert {w.oldest_age for w in gauges.waiting.values()} == {0}
    assert (gauges.all_waiting.jobs, gauges.leased, gauges.results_due, gauges.workers) == (0,) * 4
    assert gauges.used_bytes > 0
    assert gauges.limit_bytes == BROKER_MEMORY


def test_waiting_jobs_by_priority_and_age(store: JobStore) -> None:
    queued(store, priority=Priority.high, owner="a")
    time.sleep(0.2)
    for owner in ("a", "b"):
        queued(store, owner=owner)
    waiting = store.gauges(60).waiting
    assert waiting[Priority.high].jobs == 1
    assert waiting[Priority.normal].jobs == 2
    assert waiting[Priority.low].jobs == 0
    assert waiting[Priority.high].oldest_age > 0.2 > waiting[Priority.normal].oldest_age


def test_who_may_not_run_more_waits_among_all(store: JobStore) -> None:
    for _ in range(3):
        queued(store, owner="capped", max_running=1)
    claimed(store, wanted=ClaimRequest(jobs=2, pictures=2))
    gauges = store.gauges(60)
    assert gauges.waiting[Priority.normal].jobs == 0
    assert gauges.all_waiting.jobs == 2
    assert gauges.leased == 1


def test_what_is_to_be_erased_and_who_is_alive(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    job = queued(store)
    finished(store, job.id)
    store.heartbeat("w", {}, 10)
    assert store.gauges(60).results_due == 0
    time.sleep(0.05)
    gauges = store.gauges(0.01)
    assert (gauges.results_due, gauges.workers, gauges.leased) == (1, 1, 0)
    begun(store, queued(store).id)
    assert store.gauges(60).leased == 1
    redis_client.zadd(f"{prefix}webhooks", {"x": 1.0})
    assert store.gauges(60).webhooks_due == 1
