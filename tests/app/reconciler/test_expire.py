"""What is over is erased, and what was never recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from app.reconciler.expire import (
    JobEraser,
    LogRewriter,
    OrphanCollector,
    run_duties,
)
from app.reconciler.reconcile import Reconciler
from jobs.blobs import BlobStore, input_key, output_key
from jobs.errors import BlobError, BlobMissing
from jobs.job import Status, Webhook, new_id
from jobs.redis_store import JobStore
from tests.moves import begun, claimed_one, finished, queued


def test_sweep_erases_at_once_what_its_client_erased(store: JobStore) -> None:
    blobs, job = BlobStore.from_url("memory://"), queued(store)
    blobs.put(input_key(job.id, "image"), b"x")
    token = begun(store, job.id)
    store.cancel(job.id, erase=True)
    assert JobEraser(store, blobs).expire_results(3600) == 0
    store.finish_canceled(job.id, token)
    assert JobEraser(store, blobs).expire_results(3600) == 1
    with pytest.raises(BlobMissing):
        blobs.get(input_key(job.id, "image"))


def test_sweep_erases_what_is_over(store: JobStore) -> None:
    blobs, job = BlobStore.from_url("memory://"), queued(store)
    blobs.put(input_key(job.id, "image"), b"x")
    finished(store, job.id)
    assert JobEraser(store, blobs).expire_results(3600) == 0
    assert JobEraser(store, blobs).expire_results(-1) == 1
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
    eraser = JobEraser(store, blobs)
    assert eraser.erase_inputs() == 0
    store.cancel(canceled)
    finished(store, done)
    assert eraser.erase_inputs() == 2
    assert eraser.erase_inputs() == 0
    for over in (canceled, done):
        with pytest.raises(BlobMissing):
            blobs.get(input_key(over, "image"))
    assert blobs.get(output_key(done, "t", 0, "png")) == b"y"
    assert blobs.get(input_key(waiting, "image")) == b"x"


def test_uploads_that_cannot_be_erased_are_tried_again_later(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    jobs = [queued(store, inputs={"image": "k"}).id for _ in range(3)]
    for job in jobs:
        store.cancel(job)
    blobs = StubbornBlobs({jobs[0]}, lasting=True)
    eraser = JobEraser(store, blobs)  # type: ignore[arg-type]
    assert eraser.erase_inputs() == 2
    assert eraser.erase_inputs() == 0
    assert blobs.asked == 3
    redis_client.delete(f"{prefix}inputs:claimed")  # as a minute later
    blobs.stubborn.clear()
    assert eraser.erase_inputs() == 1


@pytest.mark.parametrize("url", ["memory://", "file"])
def test_uploads_without_a_job_are_erased_when_they_were_seen_twice(
    store: JobStore, url: str, tmp_path: Path
) -> None:
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri() if url == "file" else url)
    job, orphan = queued(store).id, new_id()
    for each in (job, orphan):
        blobs.put(input_key(each, "image"), b"x")
    sweeper = OrphanCollector(JobEraser(store, blobs))
    assert sweeper.run_once(0.0) == 0
    assert sweeper.run_once(1800.0) == 0
    late = new_id()
    blobs.put(input_key(late, "image"), b"x")  # its job is about to be recorded
    assert sweeper.run_once(3700.0) == 1
    assert blobs.get(input_key(job, "image")) == blobs.get(input_key(late, "image")) == b"x"
    with pytest.raises(BlobMissing):
        blobs.get(input_key(orphan, "image"))


class StubbornBlobs:
    """Refuses to erase what belongs to the jobs of ``stubborn``; counts how often it was asked, and
    how many at once. ``seconds``: what each erase takes.
    """

    is_local = False

    def __init__(self, stubborn: set[str], lasting: bool = True, seconds: float = 0.0) -> None:
        self.stubborn, self.lasting, self.seconds = stubborn, lasting, seconds
        self.asked = self.at_once = self.running = 0
        self._lock = threading.Lock()

    def delete_prefix(self, prefix: str) -> None:
        with self._lock:
            self.asked += 1
            self.running += 1
            self.at_once = max(self.at_once, self.running)
        time.sleep(self.seconds)
        with self._lock:
            self.running -= 1
        if prefix.split("/")[1] in self.stubborn:
            raise BlobError(f"{prefix} could not be erased", lasting=self.lasting)


def ended(store: JobStore, count: int) -> list[str]:
    jobs = [queued(store).id for _ in range(count)]
    for job in jobs:
        finished(store, job)
    return jobs


def statuses(store: JobStore, jobs: list[str]) -> list[Status]:
    return [job.status for job in map(store.get, jobs) if job]


def sweep(store: JobStore, blobs: StubbornBlobs) -> int:
    """Of results that are over."""
    return JobEraser(store, blobs).expire_results(-1)  # type: ignore[arg-type]


def test_a_job_that_cannot_be_erased_does_not_keep_the_others(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    jobs = ended(store, 3)
    blobs = StubbornBlobs({jobs[0]})
    assert sweep(store, blobs) == 2
    assert sweep(store, blobs) == 0
    assert blobs.asked == 3  # it is left alone for a while,
    blobs.stubborn.clear()
    redis_client.delete(f"{prefix}final:claimed")
    assert sweep(store, blobs) == 1  # and then tried again
    assert statuses(store, jobs) == [Status.expired] * 3
    assert not redis_client.exists(f"{prefix}final:claimed", f"{prefix}final")


def test_an_outage_ends_the_sweep(store: JobStore) -> None:
    jobs = ended(store, 70)
    blobs = StubbornBlobs(set(jobs), lasting=False)
    assert sweep(store, blobs) == 0
    assert blobs.asked == 64  # those at once, and no further ones


def test_slow_storage_erases_many_at_once(store: JobStore) -> None:
    ended(store, 60)
    blobs = StubbornBlobs(set(), seconds=0.15)
    started = time.monotonic()
    assert sweep(store, blobs) == 60
    assert blobs.at_once > 30
    assert time.monotonic() - started < 3  # and not 9


def test_several_reconcilers_share_the_work(store: JobStore) -> None:
    jobs = ended(store, 8)
    first = store.claim_results(-1, 5, 60)
    assert sorted(first + store.claim_results(-1, 5, 60)) == sorted(jobs)
    assert store.claim_results(-1, 5, 60) == []
    now = store.get(first[0])
    assert now is not None
    assert now.erasing  # said before anything is erased
    assert now.status is Status.succeeded


def test_what_a_dead_reconciler_claimed_is_erased_by_another(store: JobStore) -> None:
    jobs = ended(store, 2)
    assert store.claim_results(-1, 5, 0.05) == jobs
    time.sleep(0.1)
    assert sweep(store, StubbornBlobs(set())) == 2


def test_a_webhook_outlives_the_sweep_of_its_job(store: JobStore) -> None:
    job = queued(store, webhook=Webhook(url="https://example.org/"))
    finished(store, job.id)
    assert sweep(store, StubbornBlobs(set())) == 1
    assert store.webhooks_due() == [job.id]


def test_recovery_does_not_wait_for_the_sweep(store: JobStore) -> None:
    """A sweep takes a second; a dead worker's job is found meanwhile."""
    ended(store, 3)
    stop = threading.Event()
    blobs = StubbornBlobs(set(), seconds=1.0)
    duties = [lambda _now: sweep(store, blobs)]
    sweeping = threading.Thread(target=run_duties, args=(duties, stop))
    sweeping.start()
    try:
        while not blobs.asked:
            time.sleep(0.01)
        dead = queued(store).id
        claimed_one(store, dead, lease=0.01)
        time.sleep(0.05)
        Reconciler(store).run_once()
        assert blobs.running
        assert store.has_claimable(["default"])
    finally:
        stop.set()
        sweeping.join()


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
