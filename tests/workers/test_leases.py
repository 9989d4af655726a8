"""What a lease keeps apart: it outlives slow networks, and who has lost it changes nothing."""

from __future__ import annotations

import threading
import time

import pytest

from jobs.blobs import job_folder, output_key
from jobs.errors import BlobMissing
from jobs.job import Status
from jobs.store import Renewal
from tests.moves import renew
from tests.workers.conftest import Eventually, Shop


def test_the_lease_outlives_slow_networks(shop: Shop) -> None:
    shop.pipeline.seconds = 1.0  # three times the lease
    job = shop.run()
    assert (job.status, job.attempts) == (Status.succeeded, 1)


def test_a_job_erased_under_the_worker_leaves_no_picture(
    shop: Shop, eventually: Eventually
) -> None:
    """Its lease dies, its client erases it, and then the paused worker goes on."""
    gate = threading.Event()
    shop.pipeline.on_forward = lambda _: gate.wait(10)
    shop.runner.leases.stop()
    job_id = shop.submit()
    thread = shop.begin(job_id, eventually)
    time.sleep(0.4)
    assert shop.store.cancel(job_id, erase=True) is Status.canceled
    shop.runner.blobs.delete_prefix(job_folder(job_id))
    shop.store.expire(job_id)
    tokens = [lease.token for lease in shop.runner.leases.held()]
    gate.set()
    thread.join(10)
    assert len(tokens) == 1
    with pytest.raises(BlobMissing):
        shop.runner.blobs.get(output_key(job_id, tokens[0], 0, "png"))


def test_a_job_taken_over_by_another_worker_is_left_alone(
    shop: Shop, eventually: Eventually
) -> None:
    shop.pipeline.seconds = 1.0
    shop.runner.leases.stop()
    job_id = shop.submit()
    thread = shop.begin(job_id, eventually)
    time.sleep(0.4)  # nobody renews: the lease dies
    assert shop.store.requeue(job_id, 20)
    assert shop.store.acquire_suspect_lock("other", 10)
    other = shop.store.claim_suspect("c", "other", 10, 10)
    assert other is not None
    thread.join(10)
    assert shop.job(job_id).status is Status.running
    assert renew(shop.store, job_id, other.token) is Renewal.held
