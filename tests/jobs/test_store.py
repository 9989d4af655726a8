"""The transition table of ARCHITECTURE.md, row by row."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from jobs.job import (
    CANCEL_REQUESTED,
    MAX_EVENTS,
    STREAM_START,
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
from jobs.redis_store import JobStore
from jobs.store import (
    Attempt,
    IdempotencyKey,
    IdempotencyRecord,
    JobOutcome,
    NewJob,
    OverQuota,
    Renewal,
)
from tests.moves import (
    a_job,
    begun,
    claimed,
    claimed_one,
    create,
    died,
    finish,
    queued,
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
    token = begun(store, job.id)
    error = Failure(code=ErrorCode.model_error, detail="It broke.")
    assert finish(store, job.id, token, JobOutcome(error=error))
    done = store.get(job.id)
    assert done is not None
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
    done = store.get(job.id)
    assert done is not None
    assert done.status is Status.canceled


def test_cancel_of_an_unknown_job(store: JobStore) -> None:
    assert store.cancel(new_id()) is None


def test_give_up_needs_a_dead_lease(store: JobStore) -> None:
    job = queued(store)
    begun(store, job.id)
    assert not store.give_up(job.id, ErrorCode.lost, "gone")
    other = queued(store)
    begun(store, other.id, SHORT)
    time.sleep(2 * SHORT)
    assert store.give_up(other.id, ErrorCode.lost, "gone")
    done = store.get(other.id)
    assert done is not None
    assert done.error == Failure(code=ErrorCode.lost, detail="gone")
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
        handed_back = store.get(job.id)
        assert handed_back is not None
        assert (handed_back.deadline or 0) - before == pytest.approx(seconds, abs=SHORT)
        assert store.past_deadline() == []
        assert not store.give_up(job.id, ErrorCode.expired, "no")
        time.sleep(2 * delay)
    time.sleep(seconds)
    assert store.past_deadline() == [job.id]
    assert store.give_up(job.id, ErrorCode.expired, "too late")


def test_expiry_leaves_a_tombstone(store: JobStore) -> None:
    job = queued(store)
    assert not store.expire(job.id)
    token = begun(store, job.id)
    assert not store.expire(job.id)
    finish(store, job.id, token)
    assert store.claim_results(60, 9, 0) == []
    assert store.claim_results(-60, 9, 0) == [job.id]
    assert store.expire(job.id)
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.status is Status.expired
    assert tomb.request == {}
    assert store.claim_results(-60, 9, 0) == []
    assert store.list_jobs(None, 10, None) == ([], None)
    assert store.exist_all([job.id, "0" * 32]) == [True, False]


def test_erase_makes_a_job_due_for_expiry_at_once(store: JobStore) -> None:
    job = queued(store)
    token = begun(store, job.id)
    store.cancel(job.id, erase=True)
    assert store.claim_results(60, 9, 0) == []
    store.finish_canceled(job.id, token)
    assert store.claim_results(60, 9, 0) == [job.id]


def test_positions_and_depth(store: JobStore) -> None:
    first, second = queued(store), queued(store)
    ids, unknown = [second.id, first.id], new_id()
    assert store.queue_positions([*ids, unknown]) == {first.id: 0, second.id: 1, unknown: None}
    assert store.load().waiting == 2
    begun(store, first.id)
    assert (store.queue_positions(ids), store.load().waiting) == ({first.id: None, second.id: 0}, 1)


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
    found = store.get(job.id)
    assert found is not None
    assert found.done == 3
    release(store, job.id, token)
    begun(store, job.id)
    again = store.get(job.id)
    assert again is not None
    assert again.done == 0


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


def test_a_once_key_creates_one_job(store: JobStore) -> None:
    once = IdempotencyKey("name", "print", 60)
    assert store.get_idempotency_record("name") is None
    first = queued(store, once)
    second = a_job()
    assert create(store, NewJob(second, once)) is None
    assert store.get(second.id) is None
    assert store.get_idempotency_record("name") == IdempotencyRecord(first.id, "print")


def test_a_once_key_is_forgotten(store: JobStore) -> None:
    queued(store, IdempotencyKey("short", "print", SHORT))
    time.sleep(2 * SHORT)
    assert store.get_idempotency_record("short") is None
    queued(store, IdempotencyKey("short", "other", 60))


HOOK = Webhook(url="https://example.com/hook")


def ended(store: JobStore, **values: Any) -> Job:
    job = queued(store, webhook=HOOK, **values)
    finish(store, job.id, begun(store, job.id))
    return job


def test_a_webhook_is_due_when_its_job_ends(store: JobStore) -> None:
    job = queued(store, webhook=HOOK)
    assert store.get(job.id) == job
    assert store.webhooks_due() == []
    assert store.claim_webhook(job.id, 60) is None
    finish(store, job.id, begun(store, job.id))
    assert store.webhooks_due() == [job.id]
    claimed = store.claim_webhook(job.id, 60)
    assert claimed is not None
    assert claimed.webhook == Webhook(
        url=HOOK.url, state=WebhookState.pending, event="succeeded", attempts=1
    )
    assert store.record_delivery(job.id, 1, WebhookState.delivered)
    done = store.get(job.id)
    assert done is not None
    assert done.webhook is not None
    assert done.webhook.state is WebhookState.delivered
    assert store.webhooks_due() == []


def test_one_dispatcher_at_a_time_and_none_for_ever(store: JobStore) -> None:
    job = ended(store)
    assert store.claim_webhook(job.id, SHORT)
    assert store.claim_webhook(job.id, SHORT) is None
    time.sleep(2 * SHORT)  # the dispatcher died
    again = store.claim_webhook(job.id, 60)
    assert again is not None
    assert again.webhook is not None
    assert again.webhook.attempts == 2
    assert not store.record_delivery(job.id, 1, WebhookState.delivered)  # it was only slow
    assert store.record_delivery(job.id, 2, WebhookState.pending, "answered 500", 60)
    assert store.webhooks_due() == []
    found = store.get(job.id)
    assert found is not None
    assert found.webhook is not None
    assert found.webhook.detail == "answered 500"


def test_a_failed_delivery_is_due_again(store: JobStore) -> None:
    job = ended(store)
    store.claim_webhook(job.id, 60)
    store.record_delivery(job.id, 1, WebhookState.pending, "answered 500", SHORT)
    time.sleep(2 * SHORT)
    assert store.webhooks_due() == [job.id]


def test_every_end_is_announced(store: JobStore) -> None:
    canceled, late, lost = (queued(store, webhook=HOOK, start_within=s) for s in (60, SHORT, 60))
    store.cancel(canceled.id)
    begun(store, lost.id, SHORT)
    time.sleep(2 * SHORT)
    assert store.give_up(late.id, ErrorCode.expired, "late")
    assert store.give_up(lost.id, ErrorCode.lost, "lost")
    assert set(store.webhooks_due()) == {canceled.id, late.id, lost.id}
    result = store.claim_webhook(canceled.id, 60)
    assert result is not None
    assert result.webhook is not None
    assert result.webhook.event == "canceled"


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
    assert store.record_delivery(job.id, 1, WebhookState.delivered)
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


def test_workers_are_alive_until_silent_or_gone(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    store.heartbeat("w1", {"device": "cpu"}, 10)
    store.heartbeat("w2", {"device": "cpu"}, SHORT)
    assert {w["name"] for w in store.live_workers()} == {"w1", "w2"}
    time.sleep(2 * SHORT)
    assert [w["name"] for w in store.live_workers()] == ["w1"]
    store.heartbeat("w3", {}, 10)
    assert redis_client.hkeys(f"{prefix}workers") == [b"w1", b"w3"]  # a dead one leaves nothing
    store.remove_worker("w1")
    store.remove_worker("w3")
    assert store.live_workers() == []


def test_owners_are_kept_apart(store: JobStore) -> None:
    mine, theirs = queued(store, owner="me"), queued(store, owner="you")
    found = store.get(mine.id)
    assert found is not None
    assert found.owner == "me"
    assert [j.id for j in store.list_jobs(None, 10, None, owner="me")[0]] == [mine.id]
    assert [j.id for j in store.list_jobs(None, 10, None, owner="nobody")[0]] == []
    assert {j.id for j in store.list_jobs(None, 10, None)[0]} == {mine.id, theirs.id}


def test_an_owners_unfinished_jobs_are_counted(store: JobStore) -> None:
    first, second = queued(store, owner="me"), queued(store, owner="me")
    queued(store, owner="you")
    assert store.usage("me").unfinished == 2
    token = begun(store, first.id)
    assert store.usage("me").unfinished == 2
    finish(store, first.id, token)
    store.cancel(second.id)
    assert (store.usage("me").unfinished, store.usage("you").unfinished) == (0, 1)


def test_an_owner_has_no_more_unfinished_jobs_than_it_may(store: JobStore) -> None:
    jobs = [NewJob(a_job(owner="me"), max_unfinished=2) for _ in range(3)]
    answers = store.create_all(jobs).jobs
    assert [isinstance(answer, Job) for answer in answers] == [True, True, False]
    refusal = answers[2]
    assert isinstance(refusal, OverQuota)
    assert refusal.used == 2
    with pytest.raises(OverQuota):
        create(store, jobs[2])
    store.cancel(jobs[0].job.id)
    assert create(store, jobs[2])


def test_a_tombstone_keeps_its_owner(store: JobStore) -> None:
    job = queued(store, owner="me")
    store.cancel(job.id)
    store.expire(job.id)
    tomb = store.get(job.id)
    assert tomb is not None
    assert tomb.owner == "me"
    assert store.list_jobs(None, 10, None, owner="me") == ([], None)


def test_load_counts_and_weighs(store: JobStore) -> None:
    job, suspect = queued(store), queued(store)
    died(store, suspect.id)
    begun(store, job.id)
    queued(store)
    load = store.load()
    assert (load.waiting, load.unfinished) == (1, 3)
    assert load.used_bytes > 0
    assert load.bytes_per_job > 500


def test_drain_looks_back_only_as_long_as_jobs_have_waited(store: JobStore) -> None:
    nothing = store.throughput()
    assert (nothing.rate, nothing.oldest_age) == (None, None)
    for _ in range(4):
        store.cancel(queued(store).id)
    idle = store.throughput()
    assert idle.rate == pytest.approx(4 / 60)
    assert idle.oldest_age == pytest.approx(0, abs=5)
    queued(store)
    time.sleep(1.5)
    for _ in range(3):
        store.cancel(queued(store).id)
    busy = store.throughput()
    assert busy.rate == pytest.approx(3 / 1.5, rel=0.3)
