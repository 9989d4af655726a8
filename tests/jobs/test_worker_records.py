"""What workers and operators leave in the store beside jobs."""

from __future__ import annotations

import time

import redis

from jobs.redis_store import JobStore


def test_workers_are_alive_until_silent_or_gone(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    store.heartbeat("w1", {"device": "cpu"}, 10)
    store.heartbeat("w2", {"device": "cpu"}, 0.05)
    assert {w["name"] for w in store.live_workers()} == {"w1", "w2"}
    time.sleep(0.1)
    assert [w["name"] for w in store.live_workers()] == ["w1"]
    store.heartbeat("w3", {}, 10)
    assert redis_client.hkeys(f"{prefix}workers") == [b"w1", b"w3"]  # a dead one leaves nothing
    store.remove_worker("w1")
    store.remove_worker("w3")
    assert store.live_workers() == []


def test_a_service_secret_is_made_once(store: JobStore) -> None:
    assert store.service_secret("webhooks", "one") == "one"
    assert store.service_secret("webhooks", "two") == "one"
    assert store.service_secret("other", "three") == "three"
