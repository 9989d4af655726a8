"""The transition table of ARCHITECTURE.md, row by row, on both stores."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobs.events import CANCEL_REQUESTED, FIRST, KEPT_EVENTS
from jobs.job import (
    ErrorCode,
    Failure,
    ImageRecord,
    Job,
    Status,
    Timings,
    Webhook,
    WebhookState,
    new_id,
)
from jobs.load import Drain
from jobs.store import JobStore, OnceKey, Outcome, Remembered, Renewal

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


def test_a_run_that_ends_after_it_was_handed_back_counts(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    assert store.release(job.id, "t")
    assert store.finish(job.id, "t", Outcome())
    ended = store.get(job.id)
    assert ended is not None
    assert (ended.status, ended.attempts) == (Status.succeeded, 1)


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


def test_listing_keeps_jobs_of_the_same_moment_apart(store: JobStore) -> None:
    ids = sorted(queued(store, created_at=5.0).id for _ in range(230))
    seen, cursor = [], None
    while True:
        page, cursor = store.listing(None, 7, cursor)
        seen += [j.id for j in page]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_listing_fills_pages_of_one_status_and_task(store: JobStore) -> None:
    ids = [queued(store, task=("synthesize", "inpaint")[k % 2]).id for k in range(240)]
    for job_id in ids[:10]:
        store.cancel(job_id)
    page, _ = store.listing(Status.canceled, 3, None, task="inpaint")
    assert [j.id for j in page] == [ids[9], ids[7], ids[5]]
    rest, cursor = store.listing(
        Status.canceled, 3, (page[-1].created_at, page[-1].id), task="inpaint"
    )
    assert [j.id for j in rest] == [ids[3], ids[1]]
    assert cursor is None


def statuses(store: JobStore, job_id: str, after: str = FIRST) -> list[str]:
    found = store.events({job_id: after})[job_id]
    assert found is not None
    return [e.status for e in found]


def test_events_tell_a_life_in_order_and_resume(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    assert store.progress(job.id, "t", 1, 2)
    store.cancel(job.id)
    store.cancel(job.id)  # says it once
    store.finish(job.id, "t", Outcome())
    events = store.events({job.id: FIRST})[job.id]
    assert events is not None
    told = ["queued", "running", "", CANCEL_REQUESTED, "succeeded"]
    assert [e.status for e in events] == told
    assert (events[2].done, events[2].total) == (1, 2)
    assert [e.final for e in events] == [False] * 4 + [True]
    assert statuses(store, job.id, events[1].id) == told[2:]
    assert statuses(store, job.id, events[-1].id) == []


def test_events_of_several_jobs_at_once(store: JobStore) -> None:
    one, other, unknown = queued(store), queued(store), new_id()
    store.cancel(other.id)
    found = store.events({one.id: FIRST, other.id: FIRST, unknown: FIRST})
    assert [e.status for e in found[one.id] or []] == ["queued"]
    assert [e.status for e in found[other.id] or []] == ["queued", "canceled"]
    assert found[unknown] is None
    store.expire(other.id)
    assert store.events({other.id: FIRST})[other.id] is None


def test_only_the_newest_events_are_kept(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", 10)
    for n in range(100):
        store.progress(job.id, "t", n, 100)
    store.finish(job.id, "t", Outcome())
    kept = statuses(store, job.id)
    assert len(kept) == KEPT_EVENTS
    assert kept[-1] == "succeeded"


def test_progress_is_the_holders_and_starts_anew(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "dead", SHORT)
    assert store.progress(job.id, "dead", 3, 4)
    assert not store.progress(job.id, "other", 4, 4)
    found = store.get(job.id)
    assert found is not None
    assert found.done == 3
    time.sleep(2 * SHORT)
    again = store.start(job.id, "alive", 10)
    assert again is not None
    assert again.done == 0


def test_positions_of_several_jobs(store: JobStore) -> None:
    first, second = queued(store, created_at=1.0), queued(store, created_at=2.0)
    unknown = new_id()
    assert store.positions([second.id, first.id, unknown]) == {
        first.id: 0,
        second.id: 1,
        unknown: None,
    }


def test_cancel_ends_a_job_whose_worker_is_dead(store: JobStore) -> None:
    job = queued(store)
    store.start(job.id, "t", SHORT)
    assert store.cancel(job.id) is Status.running
    time.sleep(2 * SHORT)
    assert store.cancel(job.id) is Status.canceled
    assert not store.finish(job.id, "t", Outcome())


def test_a_once_key_creates_one_job(store: JobStore) -> None:
    once = OnceKey("name", "print", 60)
    first = a_job()
    assert store.remembered("name") is None
    assert store.create(first, once)
    second = a_job()
    assert not store.create(second, once)
    assert store.get(second.id) is None
    assert store.remembered("name") == Remembered(first.id, "print")


def test_a_once_key_is_forgotten(store: JobStore) -> None:
    assert store.create(a_job(), OnceKey("short", "print", SHORT))
    time.sleep(2 * SHORT)
    assert store.remembered("short") is None
    assert store.create(a_job(), OnceKey("short", "other", 60))


HOOK = Webhook(url="https://example.com/hook")


def ended(store: JobStore, **values: Any) -> Job:
    job = queued(store, webhook=HOOK, **values)
    store.start(job.id, "t", 10)
    store.finish(job.id, "t", Outcome())
    return job


def test_a_webhook_is_due_when_its_job_ends(store: JobStore) -> None:
    job = queued(store, webhook=HOOK)
    assert store.get(job.id) == job
    assert store.webhooks_due() == []
    assert store.claim_webhook(job.id, 60) is None
    store.start(job.id, "t", 10)
    store.finish(job.id, "t", Outcome())
    assert store.webhooks_due() == [job.id]
    claimed = store.claim_webhook(job.id, 60)
    assert claimed is not None
    assert claimed.webhook == Webhook(
        url=HOOK.url, state=WebhookState.pending, event="succeeded", attempts=1
    )
    assert store.settle_webhook(job.id, 1, WebhookState.delivered)
    done = store.get(job.id)
    assert done is not None
    assert done.webhook is not None
    assert done.webhook.state is WebhookState.delivered
    assert store.webhooks_due() == []


def test_one_courier_at_a_time_and_none_for_ever(store: JobStore) -> None:
    job = ended(store)
    assert store.claim_webhook(job.id, SHORT)
    assert store.claim_webhook(job.id, SHORT) is None
    time.sleep(2 * SHORT)  # the courier died
    again = store.claim_webhook(job.id, 60)
    assert again is not None
    assert again.webhook is not None
    assert again.webhook.attempts == 2
    assert not store.settle_webhook(job.id, 1, WebhookState.delivered)  # it was only slow
    assert store.settle_webhook(job.id, 2, WebhookState.pending, "answered 500", 60)
    assert store.webhooks_due() == []
    found = store.get(job.id)
    assert found is not None
    assert found.webhook is not None
    assert found.webhook.detail == "answered 500"


def test_a_failed_delivery_is_due_again(store: JobStore) -> None:
    job = ended(store)
    store.claim_webhook(job.id, 60)
    store.settle_webhook(job.id, 1, WebhookState.pending, "answered 500", SHORT)
    time.sleep(2 * SHORT)
    assert store.webhooks_due() == [job.id]


def test_every_end_is_announced(store: JobStore) -> None:
    canceled, late, lost = (queued(store, webhook=HOOK) for _ in range(3))
    store.cancel(canceled.id)
    store.give_up(late.id, ErrorCode.expired, "late")
    store.start(lost.id, "t", SHORT)
    time.sleep(2 * SHORT)
    store.give_up(lost.id, ErrorCode.lost, "lost")
    assert set(store.webhooks_due()) == {canceled.id, late.id, lost.id}
    claimed = store.claim_webhook(canceled.id, 60)
    assert claimed is not None
    assert claimed.webhook is not None
    assert claimed.webhook.event == "canceled"


def test_a_tombstone_remembers_only_an_undelivered_webhook(store: JobStore) -> None:
    job = ended(store)
    assert store.expire(job.id)
    claimed = store.claim_webhook(job.id, 60)
    assert claimed is not None
    assert (claimed.status, claimed.webhook and claimed.webhook.event) == (
        Status.expired,
        "succeeded",
    )
    assert claimed.finished_at is not None
    assert store.settle_webhook(job.id, 1, WebhookState.delivered)
    tomb = store.get(job.id)
    assert tomb is not None
    assert (tomb.webhook, tomb.finished_at) == (None, None)


def test_nobody_is_told_of_an_erased_job(store: JobStore) -> None:
    over, waiting = ended(store), queued(store, webhook=HOOK)
    store.cancel(over.id, erase=True)
    store.cancel(waiting.id, erase=True)
    for job in (over, waiting):
        assert store.expire(job.id)
        tomb = store.get(job.id)
        assert tomb is not None
        assert tomb.webhook is None
    assert store.webhooks_due() == []


def test_a_service_secret_is_made_once(store: JobStore) -> None:
    assert store.service_secret("webhooks", "one") == "one"
    assert store.service_secret("webhooks", "two") == "one"
    assert store.service_secret("other", "three") == "three"


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
