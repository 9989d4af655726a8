"""Jobs that share a thread: what else they share, and what they must not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import redis
from obstore.store import MemoryStore

from jobs.blobs import BlobStore
from jobs.errors import BlobError, StoreError
from jobs.job import Status
from jobs.redis_store import JobStore
from jobs.store import JobOutcome
from models.pipeline import Item
from tests.moves import claimed, release
from tests.workers.conftest import Shop

Eventually = Callable[[Callable[[], bool], float], None]


def statuses(shop: Shop, job_ids: Sequence[str]) -> list[Status]:
    return [shop.job(job_id).status for job_id in job_ids]


def test_they_share_a_batch(shop: Shop) -> None:
    jobs = [shop.submit() for _ in range(4)]
    shop.do(*jobs)
    assert statuses(shop, jobs) == [Status.succeeded] * 4
    assert shop.pipeline.batches == [4]
    assert shop.job(jobs[0]).receipt["batch_sizes"] == [4]


def test_each_fails_by_itself(shop: Shop) -> None:
    jobs = [shop.submit(), shop.submit("refuse this"), shop.submit("crash"), shop.submit()]
    shop.do(*jobs)
    good, bad = Status.succeeded, Status.failed
    assert statuses(shop, jobs) == [good, bad, bad, good]


def test_what_is_lost_before_it_begins_is_left_out(shop: Shop) -> None:
    canceled, lost, good = (shop.submit() for _ in range(3))
    found = {c.job.id: c for c in claimed(shop.store)}
    shop.store.cancel(canceled)
    release(shop.store, lost, found[lost].token)
    shop.runner.batcher.expect(3)
    shop.runner.run([(c.job, shop.leases.add(c.job.id, c.token)) for c in found.values()])
    wanted = [Status.canceled, Status.queued, Status.succeeded]
    assert statuses(shop, [canceled, lost, good]) == wanted
    assert (shop.leases.held(), shop.leases.free) == ([], 16)


def test_one_is_canceled_and_the_others_go_on(shop: Shop, eventually: Eventually) -> None:
    shop.pipeline.seconds = 0.6
    jobs = [shop.submit() for _ in range(6)]  # two batches
    thread = threading.Thread(target=shop.do, args=jobs)
    thread.start()
    eventually(lambda: shop.job(jobs[5]).status is Status.running, 10)
    shop.store.cancel(jobs[5])
    thread.join(20)
    assert statuses(shop, jobs) == [Status.succeeded] * 5 + [Status.canceled]


def test_one_that_has_ended_leaves_its_slot_to_the_next(shop: Shop, eventually: Eventually) -> None:
    reached, goes_on = threading.Event(), threading.Event()

    def wait_in_the_second_batch(batch: Sequence[Item]) -> None:
        if len(batch) < 4:
            reached.set()
            goes_on.wait(10)

    shop.pipeline.on_forward = wait_in_the_second_batch
    group = [shop.submit() for _ in range(5)]  # batches of four and one
    thread = threading.Thread(target=shop.do, args=group)
    thread.start()
    assert reached.wait(10)
    eventually(lambda: shop.leases.free == 15, 10)
    assert shop.job(group[4]).status is Status.running
    goes_on.set()
    thread.join(10)
    assert shop.leases.free == 16


class PickyBlobs(BlobStore):
    """Refuses to store the pictures of one job."""

    refused = ""

    def put(self, key: str, data: bytes) -> None:
        if self.refused in key:
            raise BlobError("on strike")
        super().put(key, data)


def test_a_storage_fault_of_one_is_not_the_others(shop: Shop) -> None:
    jobs = [shop.submit() for _ in range(3)]
    blobs = PickyBlobs(MemoryStore())
    blobs.refused = jobs[1]
    shop.runner.blobs = blobs
    shop.do(*jobs)
    assert statuses(shop, jobs) == [Status.succeeded, Status.queued, Status.succeeded]


class ForgetfulStore(JobStore):
    """Can't be reached when jobs are to be ended, once."""

    away = True

    def finish_all(self, endings: Sequence[tuple[str, str, JobOutcome]]) -> list[bool | StoreError]:
        if self.away:
            self.away = False
            raise StoreError("away")
        return super().finish_all(endings)


def test_an_end_that_can_not_be_told_is_left_to_the_reconciler(
    shop: Shop, redis_client: redis.Redis, prefix: str
) -> None:
    shop.runner.store = ForgetfulStore(redis_client, prefix)
    first, second = shop.submit(), shop.submit()
    shop.do(first)
    shop.do(second)
    assert statuses(shop, [first, second]) == [Status.running, Status.succeeded]
