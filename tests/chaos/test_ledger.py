"""What was promised and not kept must be found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from jobs.blobs import output_key
from jobs.job import ErrorCode, Failure, ImageRecord, JobEvent
from jobs.redis_store import JobStore
from jobs.store import JobOutcome
from tests.chaos.ledger import doubled, ends_of, leftovers, settled, unknown
from tests.moves import finished as finished_job
from tests.moves import queued as new_job


@pytest.fixture
def stack(tmp_path: Path, store: JobStore) -> Any:
    """As much of a stack as the ledger looks at."""
    return SimpleNamespace(store=store, blobs=tmp_path)


def queued(stack: Any) -> str:
    return new_job(stack.store).id


def picture(stack: Any, job: str, run: str = "t") -> ImageRecord:
    key = output_key(job, run, 0, "png")
    (stack.blobs / key).parent.mkdir(parents=True, exist_ok=True)
    (stack.blobs / key).write_bytes(b"x")
    return ImageRecord(index=0, seed=0, blob=key)


def finished(stack: Any, **outcome: Any) -> str:
    job = queued(stack)
    finished_job(stack.store, job, JobOutcome(**outcome))
    return job


def test_all_is_well(stack: Any) -> None:
    since = time.time()
    job = queued(stack)
    finished_job(stack.store, job, JobOutcome([picture(stack, job)]))
    found = settled(stack, [job], since, 1, created_since=since)
    assert (found.lost, found.duplicated, found.broken) == (0, 0, ())
    assert 0 <= found.seconds < 1


def test_a_job_without_an_end_is_lost(stack: Any) -> None:
    found = settled(stack, [queued(stack), finished(stack)], time.time(), 0)
    assert found.lost == 1
    assert found.broken == ("a lost job was queued",)


def test_ends_that_should_not_be_are_told(stack: Any) -> None:
    error = Failure(code=ErrorCode.storage, detail="The disk is full.")
    failed, good = finished(stack, error=error), finished(stack)
    assert settled(stack, [failed, good], 0, 0).broken == (
        "a job failed that should not: The disk is full.",
    )
    assert settled(stack, [failed, good], 0, 0, failing=[failed]).broken == ()
    assert settled(stack, [failed, good], 0, 0, failing=[good]).broken != ()


def test_a_picture_that_is_not_stored_is_missing(stack: Any) -> None:
    record = ImageRecord(index=0, seed=0, blob="jobs/x/out/t/0.png")
    assert settled(stack, [finished(stack, images=[record])], 0, 0).broken == (
        "1 pictures are missing",
    )


class TwoEnds(JobStore):
    """A store in which every job ends twice."""

    def events_after(self, cursors: Mapping[str, str]) -> dict[str, list[JobEvent] | None]:
        ends = [JobEvent(id="1-0", status="succeeded"), JobEvent(id="2-0", status="failed")]
        return {job: list(ends) for job in cursors}


def test_two_ends_are_duplicates(stack: Any, redis_client: redis.Redis, prefix: str) -> None:
    stack.store = TwoEnds(redis_client, prefix)
    ends, _ = ends_of(stack, [finished(stack), finished(stack)], 0)
    assert doubled(stack, ends) == 2


def test_more_pictures_than_asked_for_are_duplicates(stack: Any) -> None:
    images = [ImageRecord(index=n, seed=n) for n in range(2)]
    ends, _ = ends_of(stack, [finished(stack, images=images), finished(stack)], 0)
    assert doubled(stack, ends) == 1


def test_a_job_that_nobody_was_promised_is_found(stack: Any) -> None:
    queued(stack)
    time.sleep(0.01)
    since = time.time()
    promised = [queued(stack) for _ in range(3)]
    assert unknown(stack, promised, since) == 0
    queued(stack)
    assert unknown(stack, promised, since) == 1


def test_pictures_of_runs_that_ended_nowhere_are_counted(stack: Any) -> None:
    job = finished(stack)
    picture(stack, job)
    ends, _ = ends_of(stack, [job], 0)
    assert leftovers(stack, ends) == 0
    picture(stack, job, "another-run")
    assert leftovers(stack, ends) == 1
