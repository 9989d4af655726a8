"""A worker's parts around a fake pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from jobs.blobs import BlobStore
from jobs.job import ErrorCode, Job, Status
from jobs.redis_store import JobStore
from tests.moves import claimed, queued
from tests.squares import FakeLoader, FakePipeline
from workers.batcher import Batcher
from workers.claimer import Claimer
from workers.job_runner import JobRunner
from workers.leases import Leases

Eventually = Callable[[Callable[[], bool], float], None]
LEASE = 0.3  # seconds


@dataclass
class Shop:
    """Store, claimer, runner and pipeline of one worker. The claimer is started by who needs it."""

    store: JobStore
    runner: JobRunner
    claimer: Claimer
    pipeline: FakePipeline
    fatal: list[BaseException]

    @property
    def leases(self) -> Leases:
        return self.runner.leases

    def submit(self, text: str | list[Any] = "a bird", **request: Any) -> str:
        values = {"text": text, "seed": 5, "bundle": "fake", "method": "fake", **request}
        owner, inputs = values.pop("owner", ""), values.pop("inputs", {})
        return queued(
            self.store,
            task=values.pop("task", "synthesize"),
            owner=owner,
            inputs=inputs,
            pictures=values.get("count", 1) * values.get("frames", 1),
            request=values,
            warnings=("first",),
        ).id

    def do(self, *job_ids: str) -> None:
        """Claim what waits and run these, all in this thread."""
        found = claimed(self.store, LEASE)
        mine = [c for c in found if c.job.id in job_ids]
        others = [(c.job.id, c.token) for c in found if c.job.id not in job_ids]
        if others:
            self.store.release_all(others)
        self.runner.batcher.expect(sum(c.job.pictures for c in mine))
        self.runner.run([(c.job, self.leases.add(c.job.id, c.token)) for c in mine])

    def run(self, text: str | list[Any] = "a bird", **request: Any) -> Job:
        """A job that was submitted and done."""
        job_id = self.submit(text, **request)
        self.do(job_id)
        return self.job(job_id)

    def begin(self, job_id: str, eventually: Eventually) -> threading.Thread:
        """Do it in a thread of its own; returns when it runs."""
        thread = threading.Thread(target=self.do, args=(job_id,))
        thread.start()
        eventually(lambda: self.job(job_id).status is Status.running, 5)
        return thread

    def job(self, job_id: str) -> Job:
        found = self.store.get(job_id)
        assert found is not None
        return found


def failure(job: Job) -> tuple[Status, ErrorCode | None, str]:
    """How it ended, and why: code and sentence."""
    error = job.error
    return job.status, error.code if error else None, error.detail if error else ""


@pytest.fixture
def shop(store: JobStore) -> Iterator[Shop]:
    pipeline = FakePipeline()
    fatal: list[BaseException] = []
    batcher = Batcher(4, 0.05, fatal.append, lambda: claimer.notify())
    leases = Leases(store, LEASE, 16, lambda: claimer.notify())
    runner = JobRunner(
        store,
        BlobStore.from_url("memory://"),
        FakeLoader(pipeline),
        batcher,
        leases,
        retry_after=0.1,
    )
    executor = ThreadPoolExecutor(32)
    claimer = Claimer(store, runner, executor, "w", LEASE)
    batcher.start()
    leases.start()
    yield Shop(store, runner, claimer, pipeline, fatal)
    claimer.stop(10)
    executor.shutdown()
    batcher.stop()
    leases.stop()
