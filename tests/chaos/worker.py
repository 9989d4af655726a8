"""``python -m tests.chaos.worker FOLDER``: the worker, around a pipeline without networks,
with the weak points that the files in FOLDER name.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import redis
import torch

from jobs.blobs import BlobStore
from jobs.errors import StoreError
from jobs.redis_store import JobStore
from jobs.store import Attempt, ClaimRequest, ClaimResult, JobOutcome
from models.pipeline import Item
from tests.chaos.strikes import Strikes, kill_self
from tests.squares import FakeLoader, FakePipeline
from workers.settings import WorkerSettings
from workers.worker import Worker

MEMORY = 4  # pictures whose text says "memory" that fit at a time
LONG = 4.0  # seconds that "long" takes
WAIT = 1.5  # seconds that "wait" takes
SLOW = 0.25  # seconds that "slow" takes
FOREVER = 3600.0


class DyingStore(JobStore):
    """Its process dies after a claim, after a begin, or when the job is finished and nobody here
    knows it yet; or the answer to a claim gets lost.
    """

    def __init__(self, client: redis.Redis, prefix: str, strikes: Strikes) -> None:
        super().__init__(client, prefix)
        self._strikes = strikes

    def claim(self, claim_id: str, request: ClaimRequest, lease_ttl: float) -> ClaimResult:
        found = super().claim(claim_id, request, lease_ttl)
        if found.jobs:
            self._strikes.kill_here("claim")
            if self._strikes.take("claim-answer"):
                raise StoreError("the answer was cut")
        return found

    def begin_all(self, held: Sequence[tuple[str, str]]) -> list[Attempt | StoreError | None]:
        begun = super().begin_all(held)
        self._strikes.kill_here("begin")
        return begun

    def finish_all(self, endings: Sequence[tuple[str, str, JobOutcome]]) -> list[bool | StoreError]:
        done = super().finish_all(endings)
        self._strikes.kill_here("after-finish")
        return done


class DyingBlobs(BlobStore):
    """Its process dies before a picture is stored."""

    def __init__(self, url: str, strikes: Strikes) -> None:
        made = BlobStore.from_url(url)
        super().__init__(made._store, made._folder)
        self._strikes = strikes

    def put(self, key: str, data: bytes) -> None:
        self._strikes.kill_here("before-store")
        super().put(key, data)


class Misbehaviour:
    """What words of a text do to the forward pass that it is part of."""

    def __init__(self, strikes: Strikes) -> None:
        self._strikes = strikes

    def __call__(self, batch: Sequence[Item]) -> None:
        words = {word for item in batch for word in item.text.split()}
        self._strikes.note("batches", len(batch))
        if "single" in words:
            self._strikes.note("single", len(self._strikes.notes("batches")))
        self._strikes.kill_here("in-model")
        if self._strikes.take("hang"):
            time.sleep(FOREVER)
        if "die" in words:
            self._strikes.note("deaths", len(batch))
            kill_self()
        if "memory" in words and len(batch) > MEMORY:
            raise torch.OutOfMemoryError(f"{len(batch)} pictures need more memory than there is")
        times = {"long": LONG, "wait": WAIT, "slow": SLOW}
        time.sleep(next((seconds for word, seconds in times.items() if word in words), 0.0))


def worker(strikes: Strikes) -> Worker:
    """Each of its parts has its weak point."""
    pipeline = FakePipeline(on_forward=Misbehaviour(strikes))
    return Worker(
        WorkerSettings(),
        make_store=partial(DyingStore, strikes=strikes),
        open_blobs=partial(DyingBlobs, strikes=strikes),
        make_pipelines=lambda *_: FakeLoader(pipeline),
    )


def main(folder: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    worker(Strikes(Path(folder))).run()


if __name__ == "__main__":
    main(sys.argv[1])
