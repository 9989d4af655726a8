"""Nothing accepted is lost: every way in which a job can be left behind."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.queue import MemoryQueue, QueueError
from app.steward.recover import RecoveryPolicy, recover
from app.steward.sweep import sweep
from jobs.blobs import BlobStore, input_key
from jobs.errors import BlobMissing
from jobs.job import ErrorCode, Job, Status, new_id
from jobs.store import JobStore, Outcome

POLICY = RecoveryPolicy(patience=0.05, max_attempts=3)


def queued(store: JobStore, **values: Any) -> Job:
    made = {"id": new_id(), "task": "synthesize", "created_at": time.time(), "request": {}}
    job = Job(**{**made, **values})
    store.create(job)
    return job


def forget_message(store: JobStore, job: Job) -> None:
    """Let the patience with the job's message run out."""
    store.note_message(job.id, -1)


def crash(store: JobStore, job: Job) -> None:
    """A worker claims the job and dies."""
    assert store.start(job.id, f"dead-{time.monotonic()}", 0.01)
    time.sleep(0.03)


def round_of(store: JobStore, queue: MemoryQueue) -> int:
    return recover(store, queue, time.time(), POLICY)


def test_a_fresh_job_is_left_alone(store: JobStore) -> None:
    queue = MemoryQueue()
    queued(store)
    assert round_of(store, queue) == 0


def test_a_lost_message_is_sent_again(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    forget_message(store, job)
    assert round_of(store, queue) == 1
    assert queue.sent == [job.id]
    assert round_of(store, queue) == 0  # patience starts anew


def test_a_dead_workers_job_is_sent_again(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    crash(store, job)
    assert round_of(store, queue) == 1


def test_a_long_queue_is_not_flooded(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    queue.publish(job.id)
    forget_message(store, job)
    assert round_of(store, queue) == 0
    assert queue.sent == [job.id]


def test_an_overtaken_job_is_sent_again(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    queue.publish("somebody else")
    younger = queued(store, created_at=time.time() + 10)
    store.start(younger.id, "t", 10)
    forget_message(store, job)
    assert round_of(store, queue) == 1


def test_after_three_crashes_a_job_is_lost(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    for _ in range(3):
        crash(store, job)
    assert round_of(store, queue) == 0
    done = store.get(job.id)
    assert done is not None
    assert done.error is not None
    assert done.error.code is ErrorCode.lost
    assert "died 3 times" in done.error.detail


def test_a_late_job_expires(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store, deadline=time.time() - 1)
    forget_message(store, job)
    assert round_of(store, queue) == 0
    done = store.get(job.id)
    assert done is not None
    assert (done.status, done.error and done.error.code) == (Status.failed, ErrorCode.expired)


def test_a_canceled_job_of_a_dead_worker_ends(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    assert store.start(job.id, "dead", 0.2)
    assert store.cancel(job.id) is Status.running
    time.sleep(0.3)
    assert round_of(store, queue) == 0
    done = store.get(job.id)
    assert done is not None
    assert done.status is Status.canceled


def test_sweep_erases_at_once_what_its_client_erased(store: JobStore) -> None:
    blobs, job = BlobStore.at("memory://"), queued(store)
    blobs.put(input_key(job.id, "image"), b"x")
    store.start(job.id, "t", 10)
    store.cancel(job.id, erase=True)
    assert sweep(store, blobs, time.time(), 3600) == 0
    store.cancel_done(job.id, "t")
    assert sweep(store, blobs, time.time(), 3600) == 1
    with pytest.raises(BlobMissing):
        blobs.get(input_key(job.id, "image"))


def test_a_broken_queue_is_tried_again_later(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    forget_message(store, job)
    queue.broken = True
    with pytest.raises(QueueError):
        round_of(store, queue)
    queue.broken = False
    time.sleep(0.1)
    assert round_of(store, queue) == 1


def test_sweep_erases_what_is_over(store: JobStore) -> None:
    blobs, job = BlobStore.at("memory://"), queued(store)
    blobs.put(input_key(job.id, "image"), b"x")
    store.start(job.id, "t", 10)
    store.finish(job.id, "t", Outcome())
    assert sweep(store, blobs, time.time(), 3600) == 0
    assert sweep(store, blobs, time.time() + 3700, 3600) == 1
    with pytest.raises(BlobMissing):
        blobs.get(input_key(job.id, "image"))
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.status is Status.expired
