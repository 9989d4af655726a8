"""When a process is ended, and what it says of itself until then."""

from __future__ import annotations

import time

import pytest

from jobs.memory_store import MemoryJobStore
from workers.batcher import Batcher
from workers.lease import Lease, Leases
from workers.watchdog import DEAF_AFTER, Watchdog


class Scene:
    """A watchdog whose clock and process are the test's."""

    def __init__(self) -> None:
        self.store = MemoryJobStore()
        self.batcher = Batcher(1, 0, lambda _: None)
        self.leases = Leases(self.store, 15)
        self.messages = 0
        self.ended: list[str] = []
        self.dog = Watchdog(
            store=self.store,
            batcher=self.batcher,
            leases=self.leases,
            name="w",
            describe=lambda: {"device": "cpu"},
            waiting_messages=lambda: self.messages,
            stuck_after=10,
            end=self.ended.append,
            ready=True,
        )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_healthy_worker_is_left_alone(scene: Scene) -> None:
    scene.batcher.busy_since = time.monotonic() - 5
    scene.dog.check(time.monotonic())
    assert scene.ended == []


def test_a_hanging_network_ends_the_process(scene: Scene) -> None:
    scene.batcher.busy_since = time.monotonic() - 11
    scene.dog.check(time.monotonic())
    assert "forward pass" in scene.ended[0]


def test_a_hanging_job_ends_the_process(scene: Scene) -> None:
    scene.leases._held["t"] = Lease("j", "t", since=time.monotonic() - 51)
    scene.dog.check(time.monotonic())
    assert "a job takes" in scene.ended[0]


def test_a_deaf_consumer_ends_the_process(scene: Scene) -> None:
    now = time.monotonic()
    scene.messages = 3
    scene.dog.last_received = now - DEAF_AFTER - 1
    scene.dog.check(now)
    assert scene.ended == []
    scene.dog.check(now + DEAF_AFTER + 1)
    assert "none arrives" in scene.ended[0]


def test_an_idle_worker_is_not_deaf(scene: Scene) -> None:
    now = time.monotonic()
    scene.dog.last_received = now - 10 * DEAF_AFTER
    scene.dog.check(now)
    scene.dog.check(now + 2 * DEAF_AFTER)
    assert scene.ended == []


def test_heartbeat_starts_when_ready_and_ends_with_a_farewell(scene: Scene) -> None:
    scene.dog.ready = False
    scene.dog.beat()
    assert scene.store.workers() == []
    scene.dog.ready = True
    scene.dog.beat()
    assert scene.store.workers()[0]["device"] == "cpu"
    scene.dog.stop()
    assert scene.store.workers() == []
