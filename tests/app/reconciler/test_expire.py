"""What is over is erased, and what was never recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from app.reconciler.reconcile import InputEraser, LogRewriter, OrphanCollector, ResultExpirer
from jobs.blobs import BlobStore, input_key, output_key
from jobs.errors import BlobError, BlobMissing
from jobs.job import Status, new_id
from jobs.redis_store import JobStore
from tests.moves import begun, finished, queued


def test_sweep_erases_at_once_what_its_client_erased(store: JobStore) -> None:
    blobs, job = BlobStore.from_url("memory://"), queued(store)
    blobs.put(input_key(job.id, "image"), b"x")
    token = begun(store, job.id)
    store.cancel(job.id, erase=True)
    assert ResultExpirer(store, blobs, 3600).run_once(time.monotonic()) == 0
    store.finish_canceled(job.id, token)
    assert ResultExpirer(store, blobs, 3600).run_once(time.monotonic()) == 1
    with pytest.raises(BlobMissing):
        blobs.get(input_key(job.id, "image"))


def test_sweep_erases_what_is_over(store: JobStore) -> None:
    blobs, job = BlobStore.from_url("memory://"), queued(store)
    blobs.put(input_key(job.id, "image"), b"x")
    finished(store, job.id)
    assert ResultExpirer(store, blobs, 3600).run_once(time.monotonic()) == 0
    assert ResultExpirer(store, blobs, -1).run_once(time.monotonic()) == 1
    with pytest.raises(BlobMissing):
        blobs.get(input_key(job.id, "image"))
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.status is Status.expired


@pytest.mark.parametrize("url", ["memory://", "file"])
def test_uploads_are_erased_when_their_job_is_over(
    store: JobStore, url: str, tmp_path: Path
) -> None:
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri() if url == "file" else url)
    jobs = [queued(store, inputs={"image": "k"}) for _ in range(3)]
    for job in jobs:
        blobs.put(input_key(job.id, "image"), b"x")
    waiting, canceled, done = (job.id for job in jobs)
    blobs.put(output_key(done, "t", 0, "png"), b"y")
    eraser = InputEraser(store, blobs)
    assert eraser.run_once(0.0) == 0
    store.cancel(canceled)
    finished(store, done)
    assert eraser.run_once(0.0) == 2
    assert eraser.run_once(0.0) == 0
    for over in (canceled, done):
        with pytest.raises(BlobMissing):
            blobs.get(input_key(over, "image"))
    assert blobs.get(output_key(done, "t", 0, "png")) == b"y"
    assert blobs.get(input_key(waiting, "image")) == b"x"


def test_uploads_that_cannot_be_erased_are_tried_again_later(store: JobStore) -> None:
    jobs = [queued(store, inputs={"image": "k"}).id for _ in range(3)]
    for job in jobs:
        store.cancel(job)
    blobs = StubbornBlobs({jobs[0]}, lasting=True)
    eraser = InputEraser(store, blobs)  # type: ignore[arg-type]
    assert eraser.run_once(0.0) == 2
    assert eraser.run_once(0.0) == 0
    assert blobs.asked == 3  # a minute later it is the first one's turn again
    store.expire(jobs[0])
    assert store.over_inputs() == []


@pytest.mark.parametrize("url", ["memory://", "file"])
def test_uploads_without_a_job_are_erased_when_they_were_seen_twice(
    store: JobStore, url: str, tmp_path: Path
) -> None:
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri() if url == "file" else url)
    job, orphan = queued(store).id, new_id()
    for each in (job, orphan):
        blobs.put(input_key(each, "image"), b"x")
    sweeper = OrphanCollector(store, blobs)
    assert sweeper.run_once(0.0) == 0
    assert sweeper.run_once(1800.0) == 0
    late = new_id()
    blobs.put(input_key(late, "image"), b"x")  # its job is about to be recorded
    assert sweeper.run_once(3700.0) == 1
    assert blobs.get(input_key(job, "image")) == blobs.get(input_key(late, "image")) == b"x"
    with pytest.raises(BlobMissing):
        blobs.get(input_key(orphan, "image"))


class StubbornBlobs:
    """Refuses to erase what belongs to the jobs of ``stubborn``; counts how often it was asked."""

    def __init__(self, stubborn: set[str], lasting: bool) -> None:
        self.stubborn, self.lasting, self.asked = stubborn, lasting, 0

    def delete_prefix(self, prefix: str) -> None:
        self.asked += 1
        if prefix.split("/")[1] in self.stubborn:
            raise BlobError(f"{prefix} could not be erased", lasting=self.lasting)


def ended(store: JobStore, count: int) -> list[str]:
    jobs = [queued(store).id for _ in range(count)]
    for job in jobs:
        finished(store, job)
    return jobs


def statuses(store: JobStore, jobs: list[str]) -> list[Status]:
    return [job.status for job in map(store.get, jobs) if job]


def test_a_job_that_cannot_be_erased_does_not_keep_the_others(store: JobStore) -> None:
    jobs = ended(store, 3)
    blobs = StubbornBlobs({jobs[0]}, lasting=True)
    sweeper = ResultExpirer(store, blobs, -1)  # type: ignore[arg-type]
    later = time.monotonic()
    assert sweeper.run_once(later) == 2
    assert sweeper.run_once(later + 2) == 0
    assert blobs.asked == 3  # it is left alone for a while,
    blobs.stubborn.clear()
    assert sweeper.run_once(later + 120) == 1  # and then tried again
    assert statuses(store, jobs) == [Status.expired] * 3


def test_an_outage_ends_the_sweep_but_nobody_is_starved(store: JobStore) -> None:
    """Each try of a storage that is away takes seconds, in which no job is recovered."""
    jobs = ended(store, 3)
    blobs = StubbornBlobs({jobs[0]}, lasting=False)
    sweeper = ResultExpirer(store, blobs, -1)  # type: ignore[arg-type]
    later = time.monotonic()
    assert sweeper.run_once(later) == 0
    assert blobs.asked == 1
    assert sweeper.run_once(later + 2) == 2


Eventually = Callable[[Callable[[], bool], float], None]


def test_the_brokers_file_forgets_what_was_erased(
    store: JobStore, redis_client: redis.Redis, eventually: Eventually
) -> None:
    def is_written() -> bool:
        return not redis_client.info("persistence")["aof_rewrite_in_progress"]

    secret = f"a bird of {new_id()}"
    job = queued(store, request={"text": secret})
    folder = Path(redis_client.config_get("dir")["dir"]) / "appendonlydir"

    def is_in_a_file() -> bool:
        found = list(folder.iterdir())
        with suppress(FileNotFoundError):  # it was replaced by the new one
            return any(secret.encode() in path.read_bytes() for path in found)
        return True

    eventually(is_in_a_file, 5)
    finished(store, job.id)
    rewriter = LogRewriter(store, interval=60)
    assert not rewriter.run_once(0.0)  # nothing was erased
    store.expire(job.id)
    assert rewriter.run_once(1.0)
    eventually(lambda: not is_in_a_file(), 10)
    assert not rewriter.run_once(100.0)  # nothing since
    other = queued(store)
    finished(store, other.id)
    store.expire(other.id)
    eventually(is_written, 10)
    assert rewriter.run_once(101.0)
    eventually(is_written, 10)
    third = queued(store)
    finished(store, third.id)
    store.expire(third.id)
    assert not rewriter.run_once(130.0)  # soon, not at once
    assert rewriter.run_once(162.0)
