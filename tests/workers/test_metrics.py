"""What a worker tells of its jobs."""

from __future__ import annotations

from typing import cast

from prometheus_client import REGISTRY, CollectorRegistry

from jobs.job import Job
from jobs.redis_store import JobStore
from tests.workers.conftest import Shop
from workers.fake.squares import FakeLoader, FakePipeline
from workers.leases import Leases
from workers.loader import PipelineKey
from workers.metrics import WorkerCollector


class Holding(FakeLoader):
    """Says what it has."""

    def loaded(self) -> dict[PipelineKey, int]:
        return {("fake", "synthesize", "fake"): 7}


def collector() -> WorkerCollector:
    """Of a worker that holds one pipeline and no job."""
    leases = Leases(cast("JobStore", None), 1)
    return WorkerCollector("cpu", FakeLoader(FakePipeline()), leases)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def ended(outcome: str) -> float:
    return value("mmml_jobs_total", task="synthesize", bundle="fake", outcome=outcome)


def test_jobs_are_counted_by_how_they_end(shop: Shop) -> None:
    before = ended("succeeded"), ended("bad_input"), ended("internal")
    measured = value("mmml_job_total_seconds_count", task="synthesize")
    batches = value("mmml_batch_pictures_sum")
    busy = value("mmml_networks_busy_seconds_total")
    shop.pipeline.seconds = 0.05
    shop.do(shop.submit(count=2))
    shop.do(shop.submit("refuse this"))
    assert ended("succeeded") == before[0] + 1
    assert ended("bad_input") + ended("internal") == sum(before[1:]) + 1
    assert value("mmml_job_total_seconds_count", task="synthesize") >= measured + 1
    assert value("mmml_batch_pictures_sum") == batches + 2
    assert value("mmml_networks_busy_seconds_total") >= busy + 0.05


def test_a_canceled_job_is_counted_as_such(shop: Shop) -> None:
    before, job_id = ended("canceled"), shop.submit(count=8)
    shop.pipeline.seconds = 1.0
    shop.pipeline.on_forward = lambda _: shop.store.cancel(job_id)
    shop.do(job_id)
    assert shop.job(job_id).status == "canceled"
    assert ended("canceled") == before + 1


def test_what_a_worker_holds_is_read_when_it_is_asked_for(store: JobStore) -> None:
    registry, leases = CollectorRegistry(), Leases(store, 10)
    registry.register(WorkerCollector("cpu", Holding(FakePipeline()), leases))
    assert registry.get_sample_value("mmml_pipelines_loaded") == 1
    assert registry.get_sample_value("mmml_weight_bytes") == 7
    assert registry.get_sample_value("mmml_jobs_held") == 0
    leases.add(Job(id="j", task="synthesize", request={}).id, "t")
    assert registry.get_sample_value("mmml_jobs_held") == 1
