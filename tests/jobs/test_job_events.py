"""The events of a job: in order, bounded, resumable."""

from __future__ import annotations

from jobs.job import CANCEL_REQUESTED, MAX_EVENTS, STREAM_START, new_id
from jobs.redis_store import JobStore
from tests.moves import begun, finish, queued, read, release


def statuses(store: JobStore, job_id: str, after: str = STREAM_START) -> list[str]:
    found = store.events_after({job_id: after})[job_id]
    assert found is not None
    return [e.status for e in found]


def test_events_tell_a_life_in_order_and_resume(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    assert store.record_progress(job.id, token, 1, 2)
    store.cancel(job.id)
    store.cancel(job.id)  # says it once
    finish(store, job.id, token)
    events = store.events_after({job.id: STREAM_START})[job.id]
    assert events is not None
    result = ["queued", "running", "", CANCEL_REQUESTED, "succeeded"]
    assert [e.status for e in events] == result
    assert (events[2].done, events[2].total) == (1, 2)
    assert [e.final for e in events] == [False] * 4 + [True]
    assert statuses(store, job.id, events[1].id) == result[2:]
    assert statuses(store, job.id, events[-1].id) == []


def test_events_of_several_jobs_at_once(store: JobStore) -> None:
    one, other, unknown = queued(store), queued(store), new_id()
    store.cancel(other.id)
    found = store.events_after(
        {one.id: STREAM_START, other.id: STREAM_START, unknown: STREAM_START}
    )
    assert [e.status for e in found[one.id] or []] == ["queued"]
    assert [e.status for e in found[other.id] or []] == ["queued", "canceled"]
    assert found[unknown] is None
    store.expire(other.id)
    assert store.events_after({other.id: STREAM_START})[other.id] is None


def test_only_the_newest_events_are_kept(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    for n in range(100):
        store.record_progress(job.id, token, n, 100)
    finish(store, job.id, token)
    kept = statuses(store, job.id)
    assert len(kept) == MAX_EVENTS
    assert kept[-1] == "succeeded"


def test_progress_is_the_holders_and_starts_anew(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    assert store.record_progress(job.id, token, 3, 4)
    assert not store.record_progress(job.id, "other", 4, 4)
    assert read(store, job.id).done == 3
    release(store, job.id, token)
    begun(store, job.id)
    assert read(store, job.id).done == 0
