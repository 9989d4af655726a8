"""What SIGTERM gives running jobs: time, then a way back into the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jobs.job import Job, Status
from jobs.memory_store import MemoryJobStore
from tests.workers.conftest import Shop
from workers.drain import Drain

Eventually = Callable[[Callable[[], bool], float], None]


def running(shop: Shop, eventually: Eventually, seconds: float) -> tuple[str, threading.Thread]:
    """A job whose forward pass takes ``seconds``."""
    shop.pipeline.seconds = seconds
    job_id = shop.submit()
    thread = threading.Thread(target=shop.runner.run, args=(job_id,))
    thread.start()
    eventually(lambda: shop.job(job_id).status is Status.running, 5)
    return job_id, thread


def test_a_job_that_ends_in_time_is_not_disturbed(shop: Shop, eventually: Eventually) -> None:
    left: list[bool] = []
    drain = Drain(shop.store, shop.runner.leases, 30.0, lambda: left.append(True))
    job_id, thread = running(shop, eventually, 0.3)
    drain.begin()
    thread.join(10)
    drain.done()
    assert shop.job(job_id).status is Status.succeeded
    assert left == []


def test_a_job_that_takes_longer_is_handed_back_uncounted(
    shop: Shop, eventually: Eventually
) -> None:
    left = threading.Event()
    drain = Drain(shop.store, shop.runner.leases, 0.1, left.set)
    job_id, thread = running(shop, eventually, 1.5)
    drain.begin()
    assert left.wait(5)
    assert shop.store.due() == [job_id]  # the steward sends it at once
    claimed = shop.store.start(job_id, "another worker", 10)
    assert claimed is not None
    assert claimed.attempts == 1
    thread.join(10)
    assert shop.job(job_id).status is Status.running  # the late outcome was refused


def test_a_job_that_waits_to_run_alone_is_not_claimed_any_more(
    shop: Shop, eventually: Eventually
) -> None:
    _, first = running(shop, eventually, 1.0)
    suspect = shop.submit()
    shop.store.start(suspect, "dead", 0.01)
    time.sleep(0.05)
    second = threading.Thread(target=shop.runner.run, args=(suspect,))
    second.start()
    shop.runner.draining = True
    first.join(10)
    second.join(10)
    assert shop.job(suspect).attempts == 1


class SlowStore(MemoryJobStore):
    """Answers claims only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()

    def start(self, job_id: str, token: str, lease_ttl: float) -> Job | None:
        self.asked.set()
        assert self.go.wait(10)
        return super().start(job_id, token, lease_ttl)


def test_a_claim_under_way_is_handed_back_too(shop: Shop) -> None:
    """The worker asked for the job before SIGTERM; the answer comes when its time is over."""
    store = SlowStore()
    shop.store = shop.runner.store = store
    shop.pipeline.seconds = 1.0
    job_id = shop.submit()
    thread = threading.Thread(target=shop.runner.run, args=(job_id,))
    thread.start()
    assert store.asked.wait(5)
    left = threading.Event()
    shop.runner.draining = True
    Drain(store, shop.runner.leases, 0.0, left.set).begin()
    assert not left.wait(0.3)
    store.go.set()
    assert left.wait(5)
    assert store.due() == [job_id]
    assert shop.job(job_id).attempts == 0
    thread.join(10)
