"""Nothing accepted is lost: every way in which a job can be left behind."""

from __future__ import annotations

import time

from app.reconciler.reconcile import Reconciler
from jobs.job import ErrorCode, Job, Status, new_id
from jobs.redis_store import JobStore
from tests.moves import begun, claimed, queued

SHORT = 0.02  # seconds of a lease that is left to die


def crash_alone(store: JobStore) -> None:
    """A worker takes the suspect and dies."""
    assert store.acquire_suspect_lock("w", 10)
    suspect = store.claim_suspect(new_id(), "w", SHORT, 10)
    assert suspect is not None
    store.begin_all([(suspect.job.id, suspect.token)])
    time.sleep(2 * SHORT)


def found(store: JobStore, job: Job) -> Job:
    record = store.get(job.id)
    assert record is not None
    return record


def test_what_waits_and_what_runs_is_left_alone(store: JobStore) -> None:
    running, _ = queued(store), queued(store)
    begun(store, running.id)
    assert Reconciler(store).run_once() == 0
    assert len(claimed(store)) == 1


def test_a_dead_workers_job_waits_to_run_alone(store: JobStore) -> None:
    job = queued(store)
    begun(store, job.id, SHORT)
    time.sleep(2 * SHORT)
    assert Reconciler(store).run_once() == 1
    assert claimed(store) == []
    assert store.acquire_suspect_lock("w", 10)


def test_a_job_that_was_not_begun_waits_as_before(store: JobStore) -> None:
    job = queued(store)
    claimed(store, SHORT)
    time.sleep(2 * SHORT)
    assert Reconciler(store).run_once() == 1
    assert [held.job.id for held in claimed(store)] == [job.id]


def test_after_three_crashes_alone_a_job_is_lost(store: JobStore) -> None:
    """The first crash does not count: any of the jobs that shared the worker may have caused it."""
    job = queued(store)
    begun(store, job.id, SHORT)
    time.sleep(2 * SHORT)
    for _ in range(3):
        assert Reconciler(store).run_once() == 1
        crash_alone(store)
    assert Reconciler(store).run_once() == 0
    done = found(store, job)
    assert done.error is not None
    assert done.error.code is ErrorCode.lost
    assert "3 of them while running it alone" in done.error.detail


def test_a_late_job_expires(store: JobStore) -> None:
    job, other = queued(store, start_within=SHORT), queued(store, start_within=60)
    time.sleep(2 * SHORT)
    assert Reconciler(store).run_once() == 0
    done = found(store, job)
    assert (done.status, done.error and done.error.code) == (Status.failed, ErrorCode.expired)
    assert found(store, other).status is Status.queued


def test_a_canceled_job_of_a_dead_worker_ends(store: JobStore) -> None:
    job = queued(store)
    begun(store, job.id, 0.2)
    assert store.cancel(job.id) is Status.running
    time.sleep(0.3)
    assert Reconciler(store).run_once() == 1
    assert found(store, job).status is Status.canceled


def test_the_sets_are_rebuilt_at_the_start(store: JobStore) -> None:
    jobs = [queued(store) for _ in range(3)]
    assert Reconciler(store).rebuild() == 3
    assert len(claimed(store)) == len(jobs)
