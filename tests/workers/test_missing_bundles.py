"""Jobs of a bundle, or of a version of one, that this worker does not have."""

from __future__ import annotations

import time
from typing import Any

from jobs.job import ErrorCode, Job, Status
from models.errors import UnknownBundle
from tests.moves import queued
from tests.squares import FakeLoader
from tests.workers.conftest import Shop, failure


def do_when_due(shop: Shop, job_id: str) -> Job:
    time.sleep(0.03)
    shop.do(job_id)
    return shop.job(job_id)


def test_a_bundle_that_nobody_has_fails_the_job_soon(shop: Shop) -> None:
    shop.runner.hand_back_delay = 0.002
    job_id = shop.submit(bundle="missing")
    for times in (1, 2, 3):
        job = do_when_due(shop, job_id)
        assert (job.status, job.hand_backs) == (Status.queued, times)
        assert (job.attempts, job.faults) == (0, 0)
    reason = (Status.failed, ErrorCode.unknown_bundle, "There is no bundle 'missing'.")
    assert failure(do_when_due(shop, job_id)) == reason


def test_a_bundle_that_another_worker_has_is_left_to_it(shop: Shop) -> None:
    shop.runner.hand_back_delay = 0.00001
    offer = {"missing": {"sha256": "abc", "tasks": ["synthesize"]}}
    shop.store.heartbeat("other", {"bundles": offer}, 10)
    job_id = shop.submit(bundle="missing")
    for _ in range(5):
        job = do_when_due(shop, job_id)
    assert (job.status, job.hand_backs, job.attempts) == (Status.queued, 5, 0)
    shop.runner.pipelines = Renamed(shop.pipeline)  # what the other one has
    assert do_when_due(shop, job_id).status is Status.succeeded


class Renamed(FakeLoader):
    """Has what is missing."""

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Any:
        return self.pipeline


def test_a_version_that_is_gone_gives_way_to_the_present_one(shop: Shop) -> None:
    shop.runner.hand_back_delay = 0.002
    shop.runner.pipelines = Replaced(shop.pipeline)
    values = {"text": "a bird", "seed": 5, "bundle": "fake", "method": "fake"}
    job_id = queued(shop.store, request=values, bundle_sha256="abc").id
    for _ in range(3):
        assert do_when_due(shop, job_id).status is Status.queued
    assert do_when_due(shop, job_id).status is Status.succeeded


class Replaced(FakeLoader):
    """Has another version than the one that is asked for."""

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Any:
        if sha256:
            raise UnknownBundle("has another")
        return super().get(bundle, task, method)
