"""Jobs by page: newest first, of one status, task or owner."""

from __future__ import annotations

from jobs.job import Status
from jobs.redis_store import JobStore
from jobs.store import NewJob
from tests.moves import a_job, claimed, queued, read


def test_listing_is_newest_first_in_pages(store: JobStore) -> None:
    ids = [queued(store).id for _ in range(5)]
    page, cursor = store.list_jobs(None, 2, None)
    assert [j.id for j in page] == ids[:-3:-1]
    rest, _ = store.list_jobs(None, 10, cursor)
    assert [j.id for j in rest] == ids[2::-1]
    store.cancel(ids[0])
    canceled, _ = store.list_jobs(Status.canceled, 10, None)
    assert [j.id for j in canceled] == [ids[0]]


def test_jobs_that_come_together_keep_their_order(store: JobStore) -> None:
    jobs = [a_job() for _ in range(230)]
    store.create_all([NewJob(job) for job in jobs])
    seen: list[str] = []
    cursor = None
    while cursor or not seen:
        page, cursor = store.list_jobs(None, 7, cursor)
        seen += [j.id for j in page]
    assert seen == [job.id for job in jobs][::-1]
    assert [c.job.id for c in claimed(store)] == seen[::-1]


def test_listing_fills_pages_of_one_status_and_task(store: JobStore) -> None:
    ids = [queued(store, task=("synthesize", "inpaint")[k % 2]).id for k in range(240)]
    for job_id in ids[:10]:
        store.cancel(job_id)
    page, _ = store.list_jobs(Status.canceled, 3, None, task="inpaint")
    assert [j.id for j in page] == [ids[9], ids[7], ids[5]]
    rest, cursor = store.list_jobs(
        Status.canceled, 3, (page[-1].created_at, page[-1].id), task="inpaint"
    )
    assert [j.id for j in rest] == [ids[3], ids[1]]
    assert cursor is None


def test_owners_are_kept_apart(store: JobStore) -> None:
    mine, theirs = queued(store, owner="me"), queued(store, owner="you")
    assert read(store, mine.id).owner == "me"
    assert [j.id for j in store.list_jobs(None, 10, None, owner="me")[0]] == [mine.id]
    assert [j.id for j in store.list_jobs(None, 10, None, owner="nobody")[0]] == []
    assert {j.id for j in store.list_jobs(None, 10, None)[0]} == {mine.id, theirs.id}
