"""What SIGTERM gives running jobs: time, then a way back into the queue."""

from __future__ import annotations

import threading

from jobs.job import Status
from tests.moves import begun
from tests.workers.conftest import Eventually, Shop
from workers.watchdog import Drain


def running(shop: Shop, eventually: Eventually, seconds: float) -> tuple[str, threading.Thread]:
    """A job whose forward pass takes ``seconds``."""
    shop.pipeline.seconds = seconds
    job_id = shop.submit()
    return job_id, shop.begin(job_id, eventually)


def test_a_job_that_ends_in_time_is_not_disturbed(shop: Shop, eventually: Eventually) -> None:
    left: list[bool] = []
    drain = Drain(
        shop.store, shop.runner.leases, 30.0, shop.claimer.stop, lambda: left.append(True)
    )
    job_id, thread = running(shop, eventually, 0.3)
    drain.begin()
    thread.join(10)
    drain.mark_done()
    assert shop.job(job_id).status is Status.succeeded
    assert left == []


def test_a_job_that_takes_longer_is_handed_back_uncounted(
    shop: Shop, eventually: Eventually
) -> None:
    left = threading.Event()
    drain = Drain(shop.store, shop.runner.leases, 0.1, shop.claimer.stop, left.set)
    job_id, thread = running(shop, eventually, 1.5)
    drain.begin()
    assert left.wait(5)
    begun(shop.store, job_id)  # by another worker, at once
    assert shop.job(job_id).attempts == 1
    thread.join(10)
    assert shop.job(job_id).status is Status.running  # the late outcome was refused
