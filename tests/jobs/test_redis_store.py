"""The transition table of ARCHITECTURE.md, row by row."""

from __future__ import annotations

import time

import pytest

from jobs.job import ErrorCode, Failure, ImageRecord, Status, Timings, new_id
from jobs.redis_store import JobStore
from jobs.store import Attempt, IdempotencyKey, IdempotencyRecord, JobOutcome, NewJob, Renewal
from tests.moves import (
    a_job,
    begun,
    claimed,
    claimed_one,
    create,
    died,
    finish,
    queued,
    read,
    release,
    renew,
)

SHORT = 0.05  # seconds of a lease that is left to die


def test_record_comes_back_as_created(store: JobStore) -> None:
    job = queued(store, inputs={"image": "k"}, warnings=("careful",), start_within=12.5)
    assert store.get(job.id) == job
    assert job.created_at == pytest.approx(time.time(), abs=5)
    assert store.get("0" * 32) is None


def test_an_id_is_used_once(store: JobStore) -> None:
    job = queued(store)
    assert create(store, NewJob(job)) is None


def test_claim_run_finish(store: JobStore) -> None:
    job = queued(store)
    (held,) = claimed(store)
    assert (held.job.status, held.job.attempts) == (Status.queued, 0)
    (begin,) = store.begin_all([(job.id, held.token)])
    assert isinstance(begin, Attempt)
    assert (begin.number, begin.started_at >= job.created_at) == (1, True)
    image = ImageRecord(index=0, seed=3, width=4, height=5, sha256="ab", blob="b")
    outcome = JobOutcome([image], Timings(model_ms=1.5), {"device": "cpu"}, ["a warning"])
    assert finish(store, job.id, held.token, outcome)
    done = read(store, job.id)
    assert done.status is Status.succeeded
    assert done.images == (image,)
    assert done.timings.model_ms == 1.5
    assert done.receipt == {"device": "cpu"}
    assert done.warnings == ("a warning",)
    assert done.finished_at is not None


def test_failure_carries_code_and_sentence(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    error = Failure(code=ErrorCode.model_error, detail="It broke.")
    assert finish(store, job.id, token, JobOutcome(error=error))
    done = read(store, job.id)
    assert (done.status, done.error) == (Status.failed, error)


def test_only_one_worker_holds_a_job(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    assert claimed(store) == []
    assert not finish(store, job.id, "second")
    assert renew(store, job.id, "second") is Renewal.lost
    assert renew(store, job.id, token) is Renewal.held


def test_a_suspect_can_be_claimed_and_its_first_holder_is_shut_out(store: JobStore) -> None:
    job = queued(store)
    dead = begun(store, job.id, SHORT)
    time.sleep(2 * SHORT)
    assert store.dead_leases() == [job.id]
    assert store.requeue(job.id, 20)
    assert claimed(store) == []  # never beside others
    assert store.acquire_suspect_lock("w", 10)
    again = store.claim_suspect("c", "w", 10, 10)
    assert again is not None
    (begin,) = store.begin_all([(job.id, again.token)])
    assert isinstance(begin, Attempt)
    assert begin.number == 2
    assert not finish(store, job.id, dead)
    assert finish(store, job.id, again.token)


def test_final_jobs_do_not_move(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    finish(store, job.id, token)
    assert claimed(store) == []
    assert store.begin_all([(job.id, token)]) == [None]
    failed = JobOutcome(error=Failure(code=ErrorCode.lost, detail="no"))
    assert not finish(store, job.id, token, failed)
    assert store.cancel(job.id) is Status.succeeded
    assert not store.give_up(job.id, ErrorCode.lost, "no")
    assert not store.requeue(job.id, 20)


def test_cancel_while_waiting_is_final(store: JobStore) -> None:
    job = queued(store)
    assert store.cancel(job.id) is Status.canceled
    assert claimed(store) == []
    assert store.load().waiting == 0
    assert not store.has_claimable(["default"])


def test_cancel_while_running_is_a_request(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    assert store.cancel(job.id) is Status.running
    assert renew(store, job.id, token) is Renewal.cancel
    assert store.finish_canceled(job.id, token)
    assert read(store, job.id).status is Status.canceled


def test_cancel_of_an_unknown_job(store: JobStore) -> None:
    assert store.cancel(new_id()) is None


def test_cancel_ends_a_job_whose_worker_is_dead(store: JobStore) -> None:
    held, suspect = queued(store), queued(store)
    token = begun(store, held.id, SHORT)
    assert store.cancel(held.id) is Status.running
    time.sleep(2 * SHORT)
    assert store.cancel(held.id) is Status.canceled
    assert not finish(store, held.id, token)
    died(store, suspect.id)
    assert store.cancel(suspect.id) is Status.canceled
    assert not store.acquire_suspect_lock("w", 10)


def test_give_up_needs_a_dead_lease(store: JobStore) -> None:
    job = queued(store)
    begun(store, job.id)
    assert not store.give_up(job.id, ErrorCode.lost, "gone")
    other = queued(store)
    begun(store, other.id, SHORT)
    time.sleep(2 * SHORT)
    assert store.give_up(other.id, ErrorCode.lost, "gone")
    assert read(store, other.id).error == Failure(code=ErrorCode.lost, detail="gone")
    assert store.dead_leases() == []


def test_give_up_as_expired_only_while_waiting(store: JobStore) -> None:
    late, held, patient = (queued(store, start_within=s) for s in (SHORT, SHORT, 60))
    assert (late.deadline or 0) - late.created_at == pytest.approx(SHORT, abs=1e-4)
    token = claimed_one(store, held.id)
    time.sleep(2 * SHORT)
    assert store.past_deadline() == [late.id]
    assert not store.give_up(late.id, ErrorCode.lost, "no")
    assert store.give_up(late.id, ErrorCode.expired, "too late")
    for job in (held, patient):
        assert not store.give_up(job.id, ErrorCode.expired, "no")
    assert release(store, held.id, token)
    assert store.past_deadline() == [held.id]


@pytest.mark.parametrize("delay", [0.0, 0.001])  # a fault of the storage puts a job off
def test_a_job_that_was_begun_and_handed_back_waits_anew(store: JobStore, delay: float) -> None:
    seconds = 4 * SHORT
    job = queued(store, start_within=seconds)
    for _ in range(2):  # each time as long as at first
        token = begun(store, job.id)
        time.sleep(seconds)
        assert store.past_deadline() == []
        before = time.time()
        assert release(store, job.id, token, delay)
        assert (read(store, job.id).deadline or 0) - before == pytest.approx(seconds, abs=SHORT)
        assert store.past_deadline() == []
        assert not store.give_up(job.id, ErrorCode.expired, "no")
        time.sleep(2 * delay)
    time.sleep(seconds)
    assert store.past_deadline() == [job.id]
    assert store.give_up(job.id, ErrorCode.expired, "too late")


def test_expiry_leaves_a_tombstone(store: JobStore) -> None:
    job = queued(store, owner="me")
    assert not store.expire(job.id)
    token = begun(store, job.id)
    assert not store.expire(job.id)
    finish(store, job.id, token)
    assert store.claim_results(60, 9, 0) == []
    assert store.claim_results(-60, 9, 0) == [job.id]
    assert store.expire(job.id)
    tomb = read(store, job.id)
    assert (tomb.status, tomb.request, tomb.owner) == (Status.expired, {}, "me")
    assert store.claim_results(-60, 9, 0) == []
    for owner in (None, "me"):
        assert store.list_jobs(None, 10, None, owner=owner) == ([], None)
    assert store.exist_all([job.id, "0" * 32]) == [True, False]


def test_erase_makes_a_job_due_for_expiry_at_once(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    store.cancel(job.id, erase=True)
    assert store.claim_results(60, 9, 0) == []
    store.finish_canceled(job.id, token)
    assert store.claim_results(60, 9, 0) == [job.id]


def test_an_idempotency_key_creates_one_job(store: JobStore) -> None:
    once = IdempotencyKey("name", "print", 60)
    assert store.get_idempotency_record("name") is None
    first = queued(store, once)
    second = a_job()
    assert create(store, NewJob(second, once)) is None
    assert store.get(second.id) is None
    assert store.get_idempotency_record("name") == IdempotencyRecord(first.id, "print")


def test_an_idempotency_key_is_forgotten(store: JobStore) -> None:
    queued(store, IdempotencyKey("short", "print", SHORT))
    time.sleep(2 * SHORT)
    assert store.get_idempotency_record("short") is None
    queued(store, IdempotencyKey("short", "other", 60))
