"""What becomes of a job when the storage fails it."""

from __future__ import annotations

import time

import pytest

from jobs.blobs import BlobStore
from jobs.errors import BlobError
from jobs.job import ErrorCode, Status
from tests.workers.conftest import Eventually, Shop, failure

FULL = "The service's storage is full."


class Outage(BlobStore):
    """Takes nothing. ``lasting``: until an operator acts."""

    def __init__(self, lasting: bool) -> None:
        self.error, self.puts = BlobError("on strike", FULL, lasting=lasting), 0

    def put(self, key: str, data: bytes) -> None:
        self.puts += 1
        raise self.error

    def delete_prefix(self, prefix: str) -> None:
        raise self.error


def test_a_storage_fault_is_tried_again_before_the_job_fails(shop: Shop) -> None:
    shop.runner.blobs = Outage(lasting=False)
    job_id = shop.submit()
    for fault in (1, 2):
        shop.do(job_id)
        job = shop.job(job_id)
        assert (job.status, job.attempts, job.faults) == (Status.queued, 0, fault)
        time.sleep(0.15)
    shop.do(job_id)
    assert failure(shop.job(job_id))[:2] == (Status.failed, ErrorCode.storage)


@pytest.mark.parametrize("lasting", [False, True])
def test_a_job_whose_picture_cannot_be_stored_draws_no_more(
    shop: Shop, eventually: Eventually, lasting: bool
) -> None:
    shop.runner.blobs = outage = Outage(lasting)
    shop.pipeline.seconds = 0.2
    job = shop.run(count=16)  # four batches
    assert (job.attempts, outage.puts) == (int(lasting), 1)
    full = (Status.failed, ErrorCode.storage, f"{FULL} Try again later.")
    assert failure(job) == (full if lasting else (Status.queued, None, ""))
    batcher = shop.runner.batcher
    eventually(lambda: batcher.queued_pictures() == 0 and batcher.busy_since is None, 5)
    # A batch that has begun is ended.
    assert len(shop.pipeline.batches) <= 3


@pytest.mark.parametrize("inputs", [{"image": "jobs/x/in-image.png"}, {}])
def test_a_lost_upload_fails_the_job_at_once(shop: Shop, inputs: dict[str, str]) -> None:
    """Also one that was erased, of a job that an operator puts back in line after it was over."""
    status, code, detail = failure(shop.run(task="manipulate", inputs=inputs))
    assert (status, code) == (Status.failed, ErrorCode.storage)
    assert "Submit it again" in detail
