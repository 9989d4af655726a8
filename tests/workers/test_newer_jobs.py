"""Jobs of a newer version are left to newer workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from jobs.job import JOB_SCHEMA, STREAM_START, Status
from jobs.requests import TASKS, Synthesize, register_task
from jobs.store import ClaimRequest
from tests.moves import claimed, queued
from tests.workers.conftest import Eventually, Shop

REQUEST = {"text": "a bird", "seed": 5, "bundle": "fake", "method": "fake"}


@pytest.fixture
def sculpt() -> Iterator[Callable[[], None]]:
    """Makes a worker of this version one that knows the task, too."""

    class Sculpt(Synthesize):
        task = "sculpt"

    yield lambda: (register_task(Sculpt), None)[1]
    TASKS.pop("sculpt", None)


def left() -> float:
    return REGISTRY.get_sample_value("mmml_jobs_left_to_newer_total") or 0.0


def test_a_task_that_only_a_newer_worker_knows_waits_for_it(
    shop: Shop, sculpt: Callable[[], None], eventually: Eventually
) -> None:
    newer = shop.submit(task="sculpt")
    before = left()
    shop.claimer.start()
    usual = [shop.submit() for _ in range(3)]
    eventually(lambda: all(shop.job(i).status is Status.succeeded for i in usual), 10)
    job = shop.job(newer)
    assert (job.status, job.attempts, job.hand_backs, job.faults) == (Status.queued, 0, 0, 0)
    assert left() > before
    events = shop.store.events_after({newer: STREAM_START})[newer]
    assert [event.status for event in events or ()] == ["queued"]
    sculpt()
    eventually(lambda: shop.job(newer).status is Status.succeeded, 10)
    assert shop.job(newer).attempts == 1


@pytest.mark.parametrize(
    "values",
    [{"schema_version": JOB_SCHEMA + 1}, {"request": {**REQUEST, "mood": "good"}}],
)
def test_newer_schemas_and_fields_are_left_alone(shop: Shop, values: dict[str, object]) -> None:
    job_id = queued(shop.store, **{"request": REQUEST, **values}).id
    shop.do(job_id)
    job = shop.job(job_id)
    assert (job.status, job.attempts) == (Status.queued, 0)
    assert not shop.store.dead_leases()
    assert not claimed(shop.store, 1, ClaimRequest(10, 10))  # not at once
    assert shop.leases.free == 16
    time.sleep(0.35)
    assert not shop.store.dead_leases()
