"""When a process is ended, and what it says of itself until then."""

from __future__ import annotations

import threading
import time

import pytest

from jobs.job import Status
from jobs.redis_store import JobStore
from tests.workers.conftest import Shop
from workers.batcher import Batcher
from workers.leases import Leases
from workers.watchdog import DEAF_AFTER, Watchdog


class Scene:
    """A watchdog whose clock and process are the test's."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.batcher = Batcher(1, 0, lambda _: None)
        self.leases = Leases(self.store, 15)
        self.claimable = False
        self.looked_at = time.monotonic()
        self.ended: list[str] = []
        self.dog = Watchdog(
            store=self.store,
            batcher=self.batcher,
            leases=self.leases,
            name="w",
            describe=lambda: {"device": "cpu"},
            claimable=lambda: self.claimable,
            last_answer_at=lambda: self.looked_at,
            stuck_after=10,
            end_process=self.ended.append,
            ready=True,
        )


@pytest.fixture
def scene(store: JobStore) -> Scene:
    return Scene(store)


def test_a_healthy_worker_is_left_alone(scene: Scene) -> None:
    scene.batcher.busy_since = time.monotonic() - 5
    scene.dog.check(time.monotonic())
    assert scene.ended == []


def test_a_hanging_network_ends_the_process(scene: Scene) -> None:
    scene.batcher.busy_since = time.monotonic() - 11
    scene.dog.check(time.monotonic())
    assert "forward pass" in scene.ended[0]


def test_jobs_that_do_not_get_on_end_the_process(scene: Scene) -> None:
    scene.leases.add("j", "t")
    now = time.monotonic()
    scene.dog.check(now + 49)
    assert scene.ended == []
    scene.dog.check(now + 51)
    assert "none has got on" in scene.ended[0]


def test_a_job_may_take_long_as_long_as_batches_end(scene: Scene) -> None:
    scene.leases.add("j", "t")
    now = time.monotonic()
    for seconds in range(0, 600, 5):
        scene.batcher.progress_at = now + seconds
        scene.dog.check(now + seconds + 5)
    assert scene.ended == []


def test_a_deaf_claimer_ends_the_process(scene: Scene) -> None:
    scene.claimable = True
    scene.dog.check(scene.looked_at + DEAF_AFTER - 1)
    assert scene.ended == []
    scene.dog.check(scene.looked_at + DEAF_AFTER + 1)
    assert "none was claimed" in scene.ended[0]


def test_a_worker_without_room_or_work_is_not_deaf(scene: Scene) -> None:
    scene.dog.check(scene.looked_at + 10 * DEAF_AFTER)
    assert scene.ended == []


def test_many_long_jobs_are_no_reason_to_end(shop: Shop) -> None:
    """Four jobs of four pictures, one at a time: held for long, but something gets on."""
    ended: list[str] = []
    shop.pipeline.best_batch = 1
    shop.pipeline.seconds = 0.1
    dog = Watchdog(
        store=shop.store,
        batcher=shop.runner.batcher,
        leases=shop.leases,
        name="w",
        describe=dict,
        claimable=lambda: False,
        last_answer_at=time.monotonic,
        stuck_after=0.2,
        end_process=ended.append,
    )
    jobs = [shop.submit(count=4) for _ in range(4)]
    thread = threading.Thread(target=shop.do, args=jobs)
    thread.start()
    while thread.is_alive():
        dog.check(time.monotonic())
        time.sleep(0.01)
    assert {shop.job(job).status for job in jobs} == {Status.succeeded}
    assert ended == []


def test_heartbeat_starts_when_ready_and_ends_with_a_farewell(scene: Scene) -> None:
    scene.dog.ready = False
    scene.dog.send_heartbeat()
    assert scene.store.live_workers() == []
    scene.dog.ready = True
    scene.dog.send_heartbeat()
    assert scene.store.live_workers()[0]["device"] == "cpu"
    scene.dog.stop()
    assert scene.store.live_workers() == []


def test_a_worker_that_is_told_to_looks_at_its_bundles_once(scene: Scene) -> None:
    looked: list[str] = []
    scene.dog.reload = lambda: looked.append("again")
    scene.dog.send_heartbeat()
    assert scene.store.request_reload() == ["w"]
    scene.dog.send_heartbeat()
    scene.dog.send_heartbeat()
    assert looked == ["again"]
