"""What the reconciler tells Prometheus: what it did, and how the job store stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.webhooks.sender import DeliveryResult
from jobs.errors import StoreError
from jobs.load import QueueView
from jobs.redis_store import JobStore

RECOVERED = Counter("mmml_jobs_recovered", "jobs taken from dead workers")
GIVEN_UP = Counter("mmml_jobs_given_up", "jobs failed by the reconciler: expired, lost", ["reason"])
ERASED = Counter("mmml_results_erased", "jobs whose inputs and results were erased")
_DELIVERIES = Counter("mmml_webhook_attempts", "attempts to deliver", ["result"])


def count_delivery(answer: DeliveryResult) -> None:
    """An attempt: delivered, refused for good, or failed."""
    refused = "refused" if answer.permanent else "failed"
    _DELIVERIES.labels(refused if answer.problem else "delivered").inc()


_COUNTS = {
    "mmml_jobs_leased": ("leased", "jobs that workers hold"),
    "mmml_jobs_suspect": ("suspects", "jobs that died with a worker and wait to run alone"),
    "mmml_jobs_delayed": ("delayed", "jobs put off because the storage was unavailable"),
    "mmml_results_to_erase": ("results_due", "jobs whose results are past their lifetime"),
    "mmml_webhooks_due": ("webhooks_due", "webhooks that are to be sent now"),
    "mmml_workers": ("workers", "workers that are alive"),
    "mmml_redis_used_bytes": ("used_bytes", "memory that Redis uses"),
    "mmml_redis_limit_bytes": ("limit_bytes", "maxmemory of Redis; absent when there is none"),
}


@dataclass(eq=False)  # a registry holds it by identity
class StoreCollector(Collector):
    """Reads the job store whenever it is asked. ``result_ttl``: lifetime of results in seconds."""

    store: JobStore
    result_ttl: float

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            gauges = self.store.gauges(self.result_ttl)
        except StoreError:
            yield GaugeMetricFamily("mmml_store_up", "whether the job store answers", 0)
            return
        yield GaugeMetricFamily("mmml_store_up", "whether the job store answers", 1)
        yield from _waiting(gauges)
        for name, (field, text) in _COUNTS.items():
            value = getattr(gauges, field)
            if value is not None:
                yield GaugeMetricFamily(name, text, value)


def _waiting(gauges: QueueView) -> Iterator[Metric]:
    """By priority; "all" counts also those that no worker may have yet."""
    jobs = GaugeMetricFamily("mmml_jobs_waiting", "jobs that wait", labels=["priority"])
    ages = GaugeMetricFamily(
        "mmml_oldest_job_age_seconds", "age of the oldest of them", labels=["priority"]
    )
    for priority, waiting in [*gauges.waiting.items(), ("all", gauges.all_waiting)]:
        jobs.add_metric([priority], waiting.jobs)
        ages.add_metric([priority], waiting.oldest_age)
    yield from (jobs, ages)
