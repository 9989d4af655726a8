"""A worker's parts around a fake pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobs.blobs import BlobStore
from jobs.job import Job, new_id
from jobs.memory_store import MemoryJobStore
from workers.batcher import Batcher
from workers.fake import FakeLoader, FakePipeline
from workers.lease import Leases
from workers.run import JobRunner


@dataclass
class Shop:
    """Store, runner and pipeline of one worker."""

    store: MemoryJobStore
    runner: JobRunner
    pipeline: FakePipeline
    fatal: list[BaseException]

    def submit(self, text: str | list[Any] = "a bird", **request: Any) -> str:
        values = {"text": text, "seed": 5, "bundle": "fake", "method": "fake", **request}
        job = Job(
            id=new_id(),
            task="synthesize",
            created_at=time.time(),
            request=values,
            warnings=("first",),
        )
        self.store.create(job)
        return job.id

    def job(self, job_id: str) -> Job:
        found = self.store.get(job_id)
        assert found is not None
        return found


@pytest.fixture
def shop() -> Iterator[Shop]:
    store, pipeline = MemoryJobStore(), FakePipeline()
    fatal: list[BaseException] = []
    batcher = Batcher(4, 0.05, fatal.append)
    leases = Leases(store, 0.3)
    runner = JobRunner(
        store, BlobStore.at("memory://"), FakeLoader(pipeline), batcher, leases, lease_ttl=0.3
    )
    batcher.start()
    leases.start()
    yield Shop(store, runner, pipeline, fatal)
    batcher.stop()
    leases.stop()
