"""The transition table of ARCHITECTURE.md, row by row, on both stores."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobs.job import ErrorCode, Failure, ImageRecord, Job, Status, Timings, new_id
from jobs.load import Drain
from jobs.store import JobStore, Outcome, Renewal

SHORT = 0.05  # seconds of a lease that is left to die


def a_job(**values: Any) -> Job:
    made = {
        "id": new_id(),
        "task": "synthesize",
        "created_at": time.time(),
        "request": {"text": "a bird"},
    }
    return Job(**{**made, **values})


def queued(store: JobStore, **values: Any) -> Job:
    job = a_job(**values)
    assert store.create(job)
    return job


def test_record_comes_back_as_created(store: JobStore) -> None:
    job = queued(store, inputs={"image": "k"}, warnings=("careful",), deadline=12.5)
    assert store.get(job.id) == job
    assert store.get("0" * 32) is None


def test_an_id_is_used_once(store: JobStore) -> None:
    job = queued(store)
    assert not store.create(job)


def test_claim_run_finish(store: JobStore) -> None:
    job = queued(store)
    claimed = store.start(job.id, "token", 10)
    assert claimed is not None
    assert (claimed.status, claimed.attempts) == (Status.running, 1)
    image = ImageRecord(index=0, seed=3, width=4, height=5, sha256="ab", blob="b")
    outcome = Outcome([image], Timings(model_ms=1.5), {"device": "cpu"}, ["a warning"])
    assert store.finish(job.id, "token", outcome)
    done = store.get(job.id)
    assert done is not None
    assert done.status is Status.succeeded
    assert done.images == (image,)
    assert done.timings.model_ms == 1.5
    assert done.receipt == {"device": "cpu"}
    assert done.warnings == ("a warning",)
    assert done.finished_at is not None


def test_failure_carries_code_and_sentence(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    error = Failure(code=ErrorCode.model_error, detail="It broke.")
    assert store.finish(job.id, "t", Outcome(error=error))
    done = store.get(job.id)
    assert done is not None
    assert (done.status, done.error) == (Status.failed, error)


def test_only_one_worker_holds_a_job(store: JobStore) -> None:
    job = queued(store)
    assert store.start(job.id, "first", 10)
    assert store.start(job.id, "second", 10) is None
    assert not store.finish(job.id, "second", Outcome())
    assert store.renew(job.id, "second", 10) is Renewal.lost
    assert store.renew(job.id, "first", 10) is Renewal.held


def test_dead_lease_can_be_claimed_and_its_holder_is_shut_out(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "dead", SHORT)
    time.sleep(2 * SHORT)
    again = store.start(job.id, "alive", 10)
    assert again is not None
    assert again.attempts == 2
    assert not store.finish(job.id, "dead", Outcome())
    assert store.finish(job.id, "alive", Outcome())


def test_final_jobs_do_not_move(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    store.finish(job.id, "t", Outcome())
    assert store.start(job.id, "u", 10) is None
    assert not store.finish(job.id, "t", Outcome(error=Failure(code=ErrorCode.lost, detail="no")))
    assert store.cancel(job.id) is Status.succeeded
    assert not store.give_up(job.id, ErrorCode.lost, "no")


def test_cancel_while_waiting_is_final(store: JobStore) -> None:
    job = queued(store)
    assert store.cancel(job.id) is Status.canceled
    assert store.start(job.id, "t", 10) is None
    assert store.depth() == 0


def test_cancel_while_running_is_a_request(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    assert store.cancel(job.id) is Status.running
    assert store.renew(job.id, "t", 10) is Renewal.cancel
    assert store.cancel_done(job.id, "t")
    done = store.get(job.id)
    assert done is not None
    assert done.status is Status.canceled


def test_cancel_of_an_unknown_job(store: JobStore) -> None:
    assert store.cancel(new_id()) is None


def test_give_up_needs_a_dead_lease(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    assert not store.give_up(job.id, ErrorCode.lost, "gone")
    other = queued(store)
    store.start(other.id, "t", SHORT)
    time.sleep(2 * SHORT)
    assert store.give_up(other.id, ErrorCode.lost, "gone")
    done = store.get(other.id)
    assert done is not None
    assert done.error == Failure(code=ErrorCode.lost, detail="gone")


def test_give_up_as_expired_only_while_waiting(store: JobStore) -> None:
    job = queued(store)
    assert not store.give_up(job.id, ErrorCode.lost, "no")
    assert store.give_up(job.id, ErrorCode.expired, "too late")


def test_due_knows_jobs_nobody_works_on(store: JobStore) -> None:
    job = queued(store)
    assert store.due() == []  # its message may still be on the way
    store.note_message(job.id, -1)
    assert store.due() == [job.id]
    store.start(job.id, "t", SHORT)
    assert store.due() == []
    time.sleep(2 * SHORT)
    assert store.due() == [job.id]
    store.start(job.id, "u", 10)
    store.finish(job.id, "u", Outcome())
    assert store.due() == []


def test_note_message_does_not_revive_a_final_job(store: JobStore) -> None:
    job = queued(store)
    store.cancel(job.id)
    store.note_message(job.id, -1)
    assert store.due() == []


def test_release_gives_the_job_back_uncounted(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    assert store.release(job.id, "t")
    again = store.start(job.id, "u", 10)
    assert again is not None
    assert again.attempts == 1


def test_expiry_leaves_a_tombstone(store: JobStore) -> None:
    job = queued(store)
    assert not store.expire(job.id)
    store.start(job.id, "t", 10)
    assert not store.expire(job.id)
    store.finish(job.id, "t", Outcome())
    assert store.final_before(time.time() - 60) == []
    assert store.final_before(time.time() + 60) == [job.id]
    assert store.expire(job.id)
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.status is Status.expired
    assert tomb.request == {}
    assert store.final_before(time.time() + 60) == []
    assert store.listing(None, 10, None) == ([], None)


def test_erase_makes_a_job_due_for_expiry_at_once(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    store.cancel(job.id, erase=True)
    assert store.final_before(time.time() - 60) == []
    store.cancel_done(job.id, "t")
    assert store.final_before(time.time() - 60) == [job.id]


def test_positions_and_depth(store: JobStore) -> None:
    first, second = queued(store, created_at=1.0), queued(store, created_at=2.0)
    assert (store.position(first.id), store.position(second.id), store.depth()) == (0, 1, 2)
    store.start(first.id, "t", 10)
    assert (store.position(first.id), store.position(second.id), store.depth()) == (None, 0, 1)
    assert store.newest_started() == pytest.approx(1.0)


def test_listing_is_newest_first_in_pages(store: JobStore) -> None:
    ids = [queued(store, created_at=float(k)).id for k in range(1, 6)]
    page, cursor = store.listing(None, 2, None)
    assert [j.id for j in page] == ids[:-3:-1]
    rest, _ = store.listing(None, 10, cursor)
    assert [j.id for j in rest] == ids[2::-1]
    store.cancel(ids[0])
    canceled, _ = store.listing(Status.canceled, 10, None)
    assert [j.id for j in canceled] == ids[:1]


def test_workers_are_alive_until_silent_or_gone(store: JobStore) -> None:
    store.heartbeat("w1", {"device": "cpu"}, 10)
    store.heartbeat("w2", {"device": "cpu"}, SHORT)
    assert {w["name"] for w in store.workers()} == {"w1", "w2"}
    time.sleep(2 * SHORT)
    assert [w["name"] for w in store.workers()] == ["w1"]
    store.farewell("w1")
    assert store.workers() == []


def test_owners_are_kept_apart(store: JobStore) -> None:
    mine, theirs = queued(store, owner="me"), queued(store, owner="you")
    found = store.get(mine.id)
    assert found is not None
    assert found.owner == "me"
    assert [j.id for j in store.listing(None, 10, None, owner="me")[0]] == [mine.id]
    assert [j.id for j in store.listing(None, 10, None, owner="nobody")[0]] == []
    assert {j.id for j in store.listing(None, 10, None)[0]} == {mine.id, theirs.id}


def test_an_owners_unfinished_jobs_are_counted(store: JobStore) -> None:
    first, second = queued(store, owner="me"), queued(store, owner="me")
    queued(store, owner="you")
    assert store.active("me") == 2
    store.start(first.id, "t", 10)
    assert store.active("me") == 2
    store.finish(first.id, "t", Outcome())
    store.cancel(second.id)
    assert (store.active("me"), store.active("you")) == (0, 1)


def test_a_tombstone_keeps_its_owner(store: JobStore) -> None:
    job = queued(store, owner="me")
    store.cancel(job.id)
    store.expire(job.id)
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.owner == "me"
    assert store.listing(None, 10, None, owner="me") == ([], None)


def test_load_counts_and_weighs(store: JobStore) -> None:
    job = queued(store)
    queued(store)
    store.start(job.id, "t", 10)
    load = store.load()
    assert (load.waiting, load.unfinished) == (1, 2)
    assert load.used_bytes > 0
    assert load.bytes_per_job > 500


def test_drain_looks_back_only_as_long_as_jobs_have_waited(store: JobStore) -> None:
    assert store.drain() == Drain(None, None)
    for _ in range(4):
        store.cancel(queued(store).id)
    idle = store.drain()
    assert idle.rate == pytest.approx(4 / 60)
    assert idle.oldest_final == pytest.approx(time.time(), abs=5)
    queued(store, created_at=time.time() - 10)
    busy = store.drain()
    assert busy.rate == pytest.approx(4 / 10, rel=0.2)
