"""What a worker claims, when, and for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import redis

from jobs.errors import StoreError
from jobs.job import Status, bundle_group
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest, ClaimResult
from models.pipeline import Item
from tests.moves import died
from tests.squares import FakeLoader
from tests.workers.conftest import Shop
from workers.watchdog import Drain

Eventually = Callable[[Callable[[], bool], float], None]


def all_are(shop: Shop, status: Status, jobs: Sequence[str]) -> Callable[[], bool]:
    return lambda: {job.status for job in shop.store.get_all(jobs) if job} == {status}


def test_it_looks_without_being_woken(shop: Shop, eventually: Eventually) -> None:
    shop.claimer.start()
    time.sleep(0.1)
    jobs = [shop.submit() for _ in range(3)]
    eventually(all_are(shop, Status.succeeded, jobs), 3)


def test_a_wake_up_is_heard_at_once(shop: Shop, eventually: Eventually) -> None:
    shop.claimer.start()
    time.sleep(0.1)
    job = shop.submit()
    started = time.monotonic()
    shop.claimer.notify()
    eventually(all_are(shop, Status.succeeded, [job]), 3)
    assert time.monotonic() - started < 0.5


def test_no_more_is_claimed_than_there_are_slots(shop: Shop, eventually: Eventually) -> None:
    shop.leases.limit = 2
    held: list[int] = []
    shop.pipeline.on_forward = lambda _batch: held.append(len(shop.leases.held()))
    jobs = [shop.submit() for _ in range(7)]
    shop.claimer.start()
    eventually(all_are(shop, Status.succeeded, jobs), 10)
    assert max(held) == 2
    eventually(lambda: shop.leases.free == 2, 2)
    assert shop.runner.batcher.room() == 8  # nothing is expected any more


def test_no_more_pictures_are_claimed_than_keep_the_networks_busy(
    shop: Shop, eventually: Eventually
) -> None:
    """Batches of four: eight pictures in line, of jobs of four."""
    shop.pipeline.seconds = 0.3
    jobs = [shop.submit(count=4) for _ in range(8)]
    shop.claimer.start()
    eventually(lambda: shop.job(jobs[0]).status is Status.running, 5)
    time.sleep(0.15)  # the first batch is under way, two more are in line
    assert len(shop.leases.held()) == 3
    eventually(all_are(shop, Status.succeeded, jobs), 20)


@pytest.mark.parametrize(
    ("jobs", "count"),
    [(1, 1), (1, 16), (16, 1), (60, 2)],  # 16 pictures are looked ahead, 16 jobs have places
)
def test_jobs_do_not_wait_for_the_networks_of_another(
    jobs: int, count: int, shop: Shop, eventually: Eventually
) -> None:
    """However many those are: each finds a place soon."""
    cold = [shop.submit(bundle="cold", count=count, owner="many") for _ in range(jobs)]
    shop.claimer.start()
    eventually(lambda: shop.job(cold[0]).status is Status.running, 5)
    for _ in range(3):
        warm = shop.submit()
        shop.claimer.notify()
        eventually(all_are(shop, Status.succeeded, [warm]), 1.5)
    assert shop.job(cold[0]).status is Status.running
    loader = shop.runner.pipelines
    assert isinstance(loader, FakeLoader)
    loader.warm.set()
    eventually(all_are(shop, Status.succeeded, cold), 10)
    assert all(shop.job(job).attempts == 1 for job in cold)
    eventually(lambda: shop.leases.free == 16, 2)
    assert shop.runner.batcher.room() == 8


def test_groups_take_turns(shop: Shop, eventually: Eventually) -> None:
    """A full line of one bundle does not hold up another's."""
    shop.claimer.groups = bundle_group("birds"), bundle_group("flowers")
    shop.store.place_bundles(["birds", "flowers"])
    many = [shop.submit(bundle="birds", owner="many") for _ in range(30)]
    single = shop.submit(bundle="flowers", owner="single")
    shop.pipeline.seconds = 0.05
    shop.claimer.start()
    shop.claimer.notify()
    eventually(all_are(shop, Status.succeeded, [*many, single]), 60)
    started = [shop.job(job).started_at or 0.0 for job in many]
    earlier = sum(at < (shop.job(single).started_at or 0.0) for at in started)
    assert earlier <= 16  # two claims of what keeps the networks busy


def test_a_worker_of_no_group_claims_nothing(shop: Shop) -> None:
    shop.claimer.groups = ()
    assert shop.claimer.capacity() is None


def test_a_claim_keeps_redis_for_a_moment_only(shop: Shop) -> None:
    """Whatever a GPU worker has room for."""
    for slots, jobs in ((128, 16), (3, 3)):
        shop.leases.limit = slots
        request = shop.claimer.capacity()
        assert request is not None
        assert request.jobs == jobs


def test_a_single_job_is_done_soon_beside_a_crowd(shop: Shop, eventually: Eventually) -> None:
    shop.pipeline.seconds = 0.1
    for _ in range(30):
        shop.submit(count=8, owner="many")  # as many as are looked ahead
    shop.claimer.start()
    eventually(lambda: len(shop.pipeline.batches) > 3, 10)
    before = len(shop.pipeline.batches)
    single = shop.submit(owner="single")
    shop.claimer.notify()
    eventually(all_are(shop, Status.succeeded, [single]), 5)
    assert len(shop.pipeline.batches) - before <= 4  # of 60


def test_a_suspect_runs_alone_and_its_neighbours_wait(shop: Shop, eventually: Eventually) -> None:
    suspects = [shop.submit("suspect") for _ in range(2)]
    for suspect in suspects:
        died(shop.store, suspect)
    others = [shop.submit() for _ in range(6)]
    seen: list[tuple[str, int]] = []

    def watch(batch: Sequence[Item]) -> None:
        seen.append((batch[0].text, len(shop.leases.held())))

    shop.pipeline.on_forward = watch
    shop.pipeline.seconds = 0.02
    shop.claimer.start()
    eventually(all_are(shop, Status.succeeded, [*suspects, *others]), 10)
    assert [held for text, held in seen if text == "suspect"] == [1, 1]
    assert shop.job(suspects[0]).attempts == 2
    assert shop.store.acquire_suspect_lock("another", 10) is False  # none is left


def test_many_suspects_do_not_stop_fresh_jobs(shop: Shop, eventually: Eventually) -> None:
    suspects = [shop.submit("suspect") for _ in range(32)]
    for suspect in suspects:
        died(shop.store, suspect)
    shop.pipeline.seconds = 0.05
    shop.claimer.start()
    time.sleep(0.3)
    fresh = shop.submit()
    eventually(all_are(shop, Status.succeeded, [fresh]), 2)
    left = [job for job in shop.store.get_all(suspects) if job and not job.status.final]
    assert len(left) > 10
    eventually(all_are(shop, Status.succeeded, suspects), 20)


class Forgetful(JobStore):
    """The answer of the first claim gets lost."""

    lost: ClaimResult | None = None

    def claim(self, claim_id: str, request: ClaimRequest, lease_ttl: float) -> ClaimResult:
        found = super().claim(claim_id, request, lease_ttl)
        if self.lost is None:
            self.lost = found
            raise StoreError("timed out")
        return found


def test_an_answer_that_got_lost_is_asked_for_again(
    shop: Shop, redis_client: redis.Redis, prefix: str, eventually: Eventually
) -> None:
    jobs = [shop.submit() for _ in range(3)]
    shop.claimer.store = store = Forgetful(redis_client, prefix)
    shop.claimer.start()
    eventually(all_are(shop, Status.succeeded, jobs), 5)
    assert store.lost is not None
    assert len(store.lost.jobs) == 3
    assert all(shop.job(job).attempts == 1 for job in jobs)


def test_a_draining_worker_claims_nothing(shop: Shop) -> None:
    shop.claimer.start()
    assert shop.claimer.stop(5)
    job = shop.submit()
    shop.claimer.notify()
    time.sleep(0.2)
    assert shop.job(job).status is Status.queued


class Slow(JobStore):
    """Answers claims only when it is asked to."""

    asked, go = threading.Event(), threading.Event()

    def claim(self, claim_id: str, request: ClaimRequest, lease_ttl: float) -> ClaimResult:
        self.asked.set()
        assert self.go.wait(10)
        return super().claim(claim_id, request, lease_ttl)


def test_a_claim_under_way_is_handed_back_too(
    shop: Shop, redis_client: redis.Redis, prefix: str
) -> None:
    """The worker asked before SIGTERM; the answer comes when its time is over."""
    shop.claimer.store = store = Slow(redis_client, prefix)
    shop.pipeline.seconds = 1.0
    job = shop.submit()
    shop.claimer.start()
    assert store.asked.wait(5)
    left = threading.Event()
    Drain(shop.store, shop.leases, 0.1, shop.claimer.stop, left.set).begin()
    assert not left.wait(0.3)
    store.go.set()
    assert left.wait(5)
    assert (shop.job(job).status, shop.job(job).attempts) == (Status.queued, 0)


def test_jobs_left_behind_wake_another_worker_now_and_then(
    shop: Shop, eventually: Eventually
) -> None:
    woken: list[float] = []
    shop.claimer.wake = lambda: woken.append(time.monotonic())
    for name in ("w", "another"):
        shop.store.heartbeat(name, {}, 10)
    shop.pipeline.seconds = 0.02
    jobs = [shop.submit() for _ in range(60)]
    shop.claimer.start()
    eventually(all_are(shop, Status.succeeded, jobs), 10)
    assert woken
    pauses = [b - a for a, b in pairwise(woken)]
    assert all(pause > 0.05 for pause in pauses)


def test_a_drained_worker_claims_nothing_until_it_is_resumed(
    shop: Shop, eventually: Eventually
) -> None:
    shop.claimer.pause(True)
    shop.claimer.start()
    job_id = shop.submit()
    shop.claimer.notify()
    time.sleep(0.3)
    assert shop.job(job_id).status is Status.queued
    shop.claimer.pause(False)
    shop.claimer.notify()
    eventually(lambda: shop.job(job_id).status is Status.succeeded, 10)
