"""Jobs that came in one message: what they share, and what they must not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from jobs.blobs import BlobStore
from jobs.errors import BlobError, StoreError
from jobs.job import Status
from jobs.memory_store import MemoryJobStore
from jobs.store import Outcome
from models.pipeline import Item
from tests.workers.conftest import Shop

Eventually = Callable[[Callable[[], bool], float], None]


def statuses(shop: Shop, job_ids: Sequence[str]) -> list[Status]:
    return [shop.job(job_id).status for job_id in job_ids]


def test_they_share_a_batch(shop: Shop) -> None:
    jobs = [shop.submit() for _ in range(4)]
    assert shop.runner.run(*jobs)
    assert statuses(shop, jobs) == [Status.succeeded] * 4
    assert shop.pipeline.batches == [4]
    assert shop.job(jobs[0]).receipt["batch_sizes"] == [4]


def test_each_fails_by_itself(shop: Shop) -> None:
    jobs = [shop.submit(), shop.submit("refuse this"), shop.submit("crash"), shop.submit()]
    assert shop.runner.run(*jobs)
    good, bad = Status.succeeded, Status.failed
    assert statuses(shop, jobs) == [good, bad, bad, good]


def test_what_can_not_be_claimed_is_left_out(shop: Shop) -> None:
    canceled, held, free = shop.submit(), shop.submit(), shop.submit()
    shop.store.cancel(canceled)
    shop.store.start(held, "another worker", 60)
    assert shop.runner.run(canceled, held, free, "0" * 32)
    assert statuses(shop, [canceled, held, free]) == [
        Status.canceled,
        Status.running,
        Status.succeeded,
    ]
    assert not shop.runner.run(canceled, held, free)


def test_one_seen_with_a_dead_worker_runs_after_the_others(shop: Shop) -> None:
    suspect, others = shop.submit("suspect"), [shop.submit() for _ in range(3)]
    shop.store.start(suspect, "dead", 0.01)
    time.sleep(0.05)
    seen: list[list[str]] = []

    def watch(batch: Sequence[Item]) -> None:
        seen.append([item.text for item in batch])

    shop.pipeline.on_forward = watch
    assert shop.runner.run(suspect, *others)
    assert seen == [["a bird"] * 3, ["suspect"]]


def test_one_is_canceled_and_the_others_go_on(shop: Shop, eventually: Eventually) -> None:
    shop.pipeline.seconds = 0.6
    jobs = [shop.submit() for _ in range(6)]  # two batches
    thread = threading.Thread(target=shop.runner.run, args=jobs)
    thread.start()
    eventually(lambda: shop.job(jobs[5]).status is Status.running, 10)
    shop.store.cancel(jobs[5])
    thread.join(20)
    assert statuses(shop, jobs) == [Status.succeeded] * 5 + [Status.canceled]


def test_more_than_may_be_held_are_done_in_turns(shop: Shop) -> None:
    shop.runner.concurrency = 2
    shop.runner.__post_init__()
    held: list[int] = []
    shop.pipeline.on_forward = lambda _batch: held.append(len(shop.runner.leases.held()))
    jobs = [shop.submit() for _ in range(5)]
    assert shop.runner.run(*jobs)
    assert statuses(shop, jobs) == [Status.succeeded] * 5
    assert max(held) == 2


def test_one_that_has_ended_leaves_its_place_to_the_next(
    shop: Shop, eventually: Eventually
) -> None:
    shop.runner.concurrency = 5
    shop.runner.__post_init__()
    reached, goes_on = threading.Event(), threading.Event()

    def wait_in_the_second_batch(batch: Sequence[Item]) -> None:
        if len(batch) < 4:
            reached.set()
            goes_on.wait(10)

    shop.pipeline.on_forward = wait_in_the_second_batch
    group, later = [shop.submit() for _ in range(5)], shop.submit()  # batches of four and one
    threads = [threading.Thread(target=shop.runner.run, args=ids) for ids in (group, [later])]
    threads[0].start()
    assert reached.wait(10)
    threads[1].start()
    eventually(lambda: shop.job(later).status is Status.running, 10)
    assert shop.job(group[4]).status is Status.running
    goes_on.set()
    for thread in threads:
        thread.join(10)
    assert statuses(shop, [*group, later]) == [Status.succeeded] * 6


def test_a_draining_worker_claims_none_of_them(shop: Shop) -> None:
    shop.runner.draining = True
    jobs = [shop.submit(), shop.submit()]
    assert not shop.runner.run(*jobs)
    assert statuses(shop, jobs) == [Status.queued] * 2


class PickyBlobs(BlobStore):
    """Refuses to store the pictures of one job."""

    refused = ""

    def put(self, key: str, data: bytes) -> None:
        if self.refused in key:
            raise BlobError("on strike")
        super().put(key, data)


def test_a_storage_fault_of_one_is_not_the_others(shop: Shop) -> None:
    jobs = [shop.submit() for _ in range(3)]
    blobs = PickyBlobs(shop.runner.blobs._store)
    blobs.refused = jobs[1]
    shop.runner.blobs = blobs
    shop.runner.run(*jobs)
    assert statuses(shop, jobs) == [Status.succeeded, Status.running, Status.succeeded]


class ForgetfulStore(MemoryJobStore):
    """Can't be reached when jobs are to be ended, once."""

    away = True

    def finish_all(self, endings: Sequence[tuple[str, str, Outcome]]) -> list[bool | StoreError]:
        if self.away:
            self.away = False
            raise StoreError("away")
        return super().finish_all(endings)


def test_an_end_that_can_not_be_told_is_left_to_the_steward(shop: Shop) -> None:
    shop.store = shop.runner.store = ForgetfulStore()
    first, second = shop.submit(), shop.submit()
    shop.runner.run(first)
    shop.runner.run(second)
    assert statuses(shop, [first, second]) == [Status.running, Status.succeeded]
