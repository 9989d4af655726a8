"""Nothing accepted is lost: every way in which a job can be left behind."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.queue import MemoryQueue, QueueError
from app.steward.recover import Recovery, RecoveryPolicy
from app.steward.sweep import Sweeper
from jobs.blobs import BlobStore, input_key
from jobs.errors import BlobError, BlobMissing
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
    return Recovery(store, queue, POLICY).round(time.time())


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


def test_all_lost_messages_are_sent_again_at_once(store: JobStore) -> None:
    """Also when others wait: what this round sends does not look like what was there before."""
    queue = MemoryQueue()
    lost = [queued(store) for _ in range(5)]
    waiting = queued(store)
    queue.publish(waiting.id)
    for job in lost:
        forget_message(store, job)
    assert round_of(store, queue) == 5
    assert sorted(queue.sent) == sorted(job.id for job in [*lost, waiting])


def test_no_more_messages_than_jobs(store: JobStore) -> None:
    """Nobody can tell whose message is missing, so the oldest job gets a new one."""
    queue = MemoryQueue()
    jobs = [queued(store) for _ in range(5)]
    for job in jobs[1:]:
        queue.publish(job.id)
    for job in jobs:
        forget_message(store, job)
    assert round_of(store, queue) == 1
    assert queue.sent[-1] in {job.id for job in jobs}
    assert queue.waiting() == 5


def test_a_dead_workers_job_waits_in_line_for_the_next_one(store: JobStore) -> None:
    """No worker comes for a while: one message is enough, and it hides no lost one."""
    queue = MemoryQueue()
    orphan, lost = queued(store), queued(store)
    crash(store, orphan)
    queue.publish(lost.id)
    recovery = Recovery(store, queue, POLICY)
    now = time.time()
    assert recovery.round(now) == 1
    for second in (0.06, 0.12, 0.18, 0.24):
        forget_message(store, orphan)
        assert recovery.round(now + second) == 0
    queue.sent.remove(lost.id)
    forget_message(store, lost)
    assert recovery.round(now + 0.3) == 1
    assert queue.sent == [orphan.id, lost.id]
    queue.sent.remove(orphan.id)  # this one gets lost, too
    forget_message(store, orphan)
    assert recovery.round(now + 0.32) == 1


def test_every_crash_gets_a_message_of_its_own(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    recovery = Recovery(store, queue, POLICY)
    queue.publish("somebody else")
    for n in range(3):
        crash(store, job)
        assert recovery.round(time.time() + n) == 1
        forget_message(store, job)


def test_an_overtaken_job_is_sent_again(store: JobStore) -> None:
    queue, job = MemoryQueue(), queued(store)
    queue.publish("somebody else")
    younger = queued(store, created_at=time.time() + 10)
    store.start(younger.id, "t", 10)
    forget_message(store, job)
    assert round_of(store, queue) == 1


def test_after_three_crashes_alone_a_job_is_lost(store: JobStore) -> None:
    """The first crash does not count: any of the jobs that shared the worker may have caused it."""
    queue, job = MemoryQueue(), queued(store)
    for _ in range(3):
        crash(store, job)
        assert round_of(store, queue) == 1
        forget_message(store, job)
    crash(store, job)
    assert round_of(store, queue) == 0
    done = store.get(job.id)
    assert done is not None
    assert done.error is not None
    assert done.error.code is ErrorCode.lost
    assert "3 of them while running it alone" in done.error.detail


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
    assert Sweeper(store, blobs, 3600).sweep(time.time()) == 0
    store.cancel_done(job.id, "t")
    assert Sweeper(store, blobs, 3600).sweep(time.time()) == 1
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
    assert Sweeper(store, blobs, 3600).sweep(time.time()) == 0
    assert Sweeper(store, blobs, 3600).sweep(time.time() + 3700) == 1
    with pytest.raises(BlobMissing):
        blobs.get(input_key(job.id, "image"))
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.status is Status.expired


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
        store.start(job, "t", 10)
        store.finish(job, "t", Outcome())
    return jobs


def statuses(store: JobStore, jobs: list[str]) -> list[Status]:
    return [job.status for job in map(store.get, jobs) if job]


def test_a_job_that_cannot_be_erased_does_not_keep_the_others(store: JobStore) -> None:
    jobs = ended(store, 3)
    blobs = StubbornBlobs({jobs[0]}, lasting=True)
    sweeper = Sweeper(store, blobs, 3600)  # type: ignore[arg-type]
    later = time.time() + 3700
    assert sweeper.sweep(later) == 2
    assert sweeper.sweep(later + 2) == 0
    assert blobs.asked == 3  # it is left alone for a while,
    blobs.stubborn.clear()
    assert sweeper.sweep(later + 120) == 1  # and then tried again
    assert statuses(store, jobs) == [Status.expired] * 3


def test_an_outage_ends_the_sweep_but_nobody_is_starved(store: JobStore) -> None:
    """Each try of a storage that is away takes seconds, in which no job is recovered."""
    jobs = ended(store, 3)
    blobs = StubbornBlobs({jobs[0]}, lasting=False)
    sweeper = Sweeper(store, blobs, 3600)  # type: ignore[arg-type]
    later = time.time() + 3700
    assert sweeper.sweep(later) == 0
    assert blobs.asked == 1
    assert sweeper.sweep(later + 2) == 2


def test_those_in_a_long_line_are_looked_at_less_often(store: JobStore) -> None:
    """Or looking at them would keep the steward from jobs whose worker died."""
    queue = MemoryQueue()
    jobs = [queued(store) for _ in range(600)]
    queue.publish(*(job.id for job in jobs))
    store.note_messages([job.id for job in jobs], -1)
    assert round_of(store, queue) == 0
    time.sleep(2 * POLICY.patience)
    assert store.due() == []
    crash(store, jobs[0])
    assert round_of(store, queue) == 1
