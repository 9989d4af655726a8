"""What becomes of a job's other pictures when one can't be stored."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.blobs import BlobStore
from jobs.errors import BlobError
from jobs.job import Status
from tests.workers.conftest import Shop

Eventually = Callable[[Callable[[], bool], float], None]


class Outage(BlobStore):
    """Takes nothing. ``lasting``: until an operator acts."""

    def __init__(self, lasting: bool) -> None:
        self.lasting, self.puts = lasting, 0

    def put(self, key: str, data: bytes) -> None:
        self.puts += 1
        raise BlobError("on strike", "The service's storage is full.", lasting=self.lasting)


@pytest.mark.parametrize("lasting", [False, True])
def test_a_job_whose_picture_cannot_be_stored_draws_no_more(
    shop: Shop, eventually: Eventually, lasting: bool
) -> None:
    shop.runner.blobs = outage = Outage(lasting)
    shop.pipeline.seconds = 0.2
    job_id = shop.submit(count=16)  # four batches
    shop.do(job_id)
    job = shop.job(job_id)
    ended = Status.failed if lasting else Status.queued
    assert (job.status, job.attempts, outage.puts) == (ended, int(lasting), 1)
    batcher = shop.runner.batcher
    eventually(lambda: batcher.queued_pictures() == 0 and batcher.busy_since is None, 5)
    # A batch that has begun is ended.
    assert len(shop.pipeline.batches) <= 3
