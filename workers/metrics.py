"""What a worker tells Prometheus: jobs that ended here, batches, loads, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Counter, Histogram, Summary
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs.job import Job
from jobs.store import JobOutcome
from workers.leases import Leases
from workers.loader import PipelineLoader

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

_JOBS = Counter(
    "mmml_jobs",
    "jobs that ended; outcome: succeeded, canceled, or the code of the error",
    ["task", "bundle", "outcome"],
)
_QUEUED = Histogram(
    "mmml_job_queued_seconds", "time until a worker began", ["task"], buckets=_SECONDS
)
_MODEL = Histogram("mmml_job_model_seconds", "forward passes alone", ["task"], buckets=_SECONDS)
_TOTAL = Histogram("mmml_job_total_seconds", "creation to end", ["task"], buckets=_SECONDS)
BATCH_SIZE = Histogram(
    "mmml_batch_pictures", "pictures of one forward pass", buckets=(1, 2, 4, 8, 16, 32, 64)
)
BUSY = Counter("mmml_networks_busy_seconds", "time in forward passes; its rate is the busy share")
LEFT = Counter("mmml_jobs_left_to_newer", "times that a job was left to a newer worker")
LOADS = Summary("mmml_pipeline_load_seconds", "loading and tuning a pipeline", ["bundle", "task"])


def count(job: Job, outcome: str) -> None:
    """A job is over."""
    _JOBS.labels(job.task, job.request.get("bundle") or "", outcome).inc()


def count_outcome(job: Job, outcome: JobOutcome) -> None:
    """The same of a job that ran to its end, with its times."""
    count(job, outcome.error.code if outcome.error else "succeeded")
    timings = outcome.timings
    times = (_QUEUED, timings.queued_ms), (_MODEL, timings.model_ms), (_TOTAL, timings.total_ms)
    for histogram, milliseconds in times:
        if milliseconds is not None:
            histogram.labels(job.task).observe(milliseconds / 1000)


@dataclass(eq=False)  # a registry holds it by identity
class WorkerCollector(Collector):
    """Reads what the worker holds whenever it is asked."""

    device: str
    pipelines: PipelineLoader
    leases: Leases

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        loaded = self.pipelines.loaded()
        yield GaugeMetricFamily("mmml_pipelines_loaded", "pipelines in memory", len(loaded))
        yield GaugeMetricFamily("mmml_weight_bytes", "weights in memory", sum(loaded.values()))
        yield GaugeMetricFamily("mmml_jobs_held", "jobs held here", len(self.leases.held()))
        if self.device.startswith("cuda"):
            yield from _gpu_memory(self.device)


def _gpu_memory(device: str) -> Iterator[Metric]:
    """Of all processes that use the GPU."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    yield GaugeMetricFamily("mmml_gpu_used_bytes", "memory of the GPU in use", total - free)
    yield GaugeMetricFamily("mmml_gpu_total_bytes", "memory of the GPU", total)
