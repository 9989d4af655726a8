"""Who gets which job when: turns, priorities, caps, suspects, and answers that got lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import pytest
import redis

from jobs.connections import wakeups_key
from jobs.job import Priority, Status, new_id
from jobs.redis_store import JobStore
from jobs.store import Attempt, ClaimedJob, ClaimRequest, NewJob
from tests.moves import a_job, begun, claimed, claimed_one, died, finish, queued, read, release

ONE = ClaimRequest(jobs=1, pictures=100)


def ids(found: Sequence[ClaimedJob]) -> list[str]:
    return [c.job.id for c in found]


def test_a_claim_takes_no_more_than_there_is_room_for(store: JobStore) -> None:
    for _ in range(5):
        queued(store, pictures=4)
    assert len(claimed(store, wanted=ClaimRequest(jobs=2, pictures=100))) == 2
    assert len(claimed(store, wanted=ClaimRequest(jobs=10, pictures=5))) == 1
    assert claimed(store, wanted=ClaimRequest(jobs=10, pictures=3, beyond=False)) == []
    assert len(claimed(store, wanted=ClaimRequest(jobs=10, pictures=3))) == 1
    assert len(claimed(store)) == 1


def test_owners_take_turns(store: JobStore) -> None:
    for _ in range(20):
        queued(store, owner="many")
    single = queued(store, owner="single")
    first = claimed(store, wanted=ClaimRequest(jobs=3, pictures=3))
    assert single.id in ids(first)


def test_turns_are_charged_in_pictures(store: JobStore) -> None:
    for _ in range(40):
        queued(store, owner="small", pictures=1)
        queued(store, owner="large", pictures=16)
    found = claimed(store, wanted=ClaimRequest(jobs=36, pictures=1000))
    pictures = Counter[str]()
    for c in found:
        pictures[c.job.owner] += c.job.pictures
    assert abs(pictures["small"] - pictures["large"]) <= 16


def test_a_job_that_does_not_fit_is_not_passed_by_but_a_new_owner_has_its_turn(
    store: JobStore,
) -> None:
    large = [queued(store, owner="large", pictures=16) for _ in range(3)]
    assert len(claimed(store, wanted=ClaimRequest(jobs=8, pictures=16))) == 1
    little = ClaimRequest(jobs=8, pictures=8, beyond=False)
    assert claimed(store, wanted=little) == []
    single = queued(store, owner="single")
    assert ids(claimed(store, wanted=little)) == [single.id]
    queued(store, owner="small")
    found = claimed(store, wanted=ClaimRequest(jobs=8, pictures=32))
    assert {c.job.owner for c in found} == {"small", "large"}
    assert claimed(store)[0].job.id == large[-1].id


def test_an_owner_who_was_away_has_saved_up_no_turns(store: JobStore) -> None:
    for _ in range(40):
        queued(store, owner="steady")
    claimed(store, wanted=ClaimRequest(jobs=20, pictures=100))
    for _ in range(20):
        queued(store, owner="late")
    found = claimed(store, wanted=ClaimRequest(jobs=10, pictures=100))
    assert abs(Counter(c.job.owner for c in found)["late"] - 5) <= 1


def test_higher_priorities_go_first_and_the_lowest_is_not_forgotten(store: JobStore) -> None:
    jobs = {p: queued(store, priority=p) for p in (Priority.low, Priority.normal, Priority.high)}
    assert ids(claimed(store, wanted=ONE)) == [jobs[Priority.high].id]
    lowest_first = ClaimRequest(jobs=1, pictures=1, lowest_first=True)
    assert ids(claimed(store, wanted=lowest_first)) == [jobs[Priority.low].id]
    assert ids(claimed(store)) == [jobs[Priority.normal].id]


def test_a_worker_gets_jobs_of_its_groups_only(store: JobStore) -> None:
    other = queued(store, group="large")
    assert claimed(store) == []
    assert not store.has_claimable(["default"])
    assert store.has_claimable(["default", "large"])
    wanted = ClaimRequest(jobs=1, pictures=1, groups=("default", "large"))
    assert ids(claimed(store, wanted=wanted)) == [other.id]


def test_an_owner_at_its_cap_waits_and_comes_back(store: JobStore) -> None:
    jobs = [queued(store, owner="me", max_running=2) for _ in range(4)]
    other = queued(store, owner="you")
    first = claimed(store)
    assert sorted(ids(first)) == sorted([jobs[0].id, jobs[1].id, other.id])
    assert claimed(store) == []
    assert not store.has_claimable(["default"])  # so no worker is taken for deaf
    tokens = {c.job.id: c.token for c in first}
    assert store.begin_all([(jobs[0].id, tokens[jobs[0].id])])[0] is not None
    assert finish(store, jobs[0].id, tokens[jobs[0].id])
    assert ids(claimed(store)) == [jobs[2].id]
    assert release(store, jobs[1].id, tokens[jobs[1].id])
    assert ids(claimed(store)) == [jobs[1].id]


@pytest.mark.parametrize("cap", [None, 3])
def test_jobs_that_wait_at_a_cap_are_given_when_it_is_raised(
    store: JobStore, cap: int | None
) -> None:
    queued(store, owner="me", max_running=1)
    low = queued(store, owner="me", max_running=1, priority=Priority.low)
    assert len(claimed(store)) == 1
    assert claimed(store) == []
    last = queued(store, owner="me", max_running=cap)
    assert ids(claimed(store)) == [last.id, low.id]


def test_a_dead_worker_takes_no_place_under_the_cap(store: JobStore) -> None:
    first, second = (queued(store, owner="me", max_running=1) for _ in range(2))
    died(store, first.id)
    assert ids(claimed(store)) == [second.id]


def test_the_same_claim_gets_the_same_jobs(store: JobStore) -> None:
    for _ in range(5):
        queued(store)
    first = store.claim("c", ClaimRequest(jobs=3, pictures=9), 10)
    again = store.claim("c", ClaimRequest(jobs=3, pictures=9), 10)
    assert ids(first.jobs) == ids(again.jobs)
    assert [c.token for c in again.jobs] == ["c:1", "c:2", "c:3"]
    store.cancel(first.jobs[1].job.id)
    assert ids(store.claim("c", ONE, 10).jobs) == [ids(first.jobs)[0], ids(first.jobs)[2]]


def test_to_begin_twice_is_one_attempt(store: JobStore) -> None:
    job = queued(store)
    token = claimed_one(store, job.id)
    answers = [store.begin_all([(job.id, token)])[0] for _ in range(2)]
    assert isinstance(answers[0], Attempt)
    assert answers == [answers[0]] * 2
    assert answers[0].number == 1


def test_a_job_canceled_after_its_claim_is_not_begun(store: JobStore) -> None:
    job = queued(store)
    token = claimed_one(store, job.id)
    assert store.cancel(job.id) is Status.canceled
    assert store.begin_all([(job.id, token)]) == [None]
    assert read(store, job.id).status is Status.canceled


def test_a_job_claimed_and_never_begun_is_no_suspect(store: JobStore) -> None:
    job = queued(store)
    claimed(store, lease=0.01)
    time.sleep(0.03)
    assert store.requeue(job.id, 20)
    (again,) = claimed(store)
    assert (again.job.id, again.job.attempts) == (job.id, 0)


def test_a_job_that_is_never_begun_is_one_at_last(store: JobStore) -> None:
    job = queued(store)
    for _ in range(3):
        assert ids(claimed(store, lease=0.01)) == [job.id]
        time.sleep(0.03)
        store.requeue(job.id, 3)
    assert claimed(store) == []
    assert store.acquire_suspect_lock("w", 10)


def test_a_live_lease_is_nobody_elses(store: JobStore) -> None:
    job = queued(store)
    claimed(store)
    assert store.dead_leases() == []
    assert not store.requeue(job.id, 20)


def test_a_canceled_job_of_a_dead_worker_ends(store: JobStore) -> None:
    job = queued(store)
    begun(store, job.id, 0.05)
    assert store.cancel(job.id) is Status.running
    time.sleep(0.1)
    assert store.requeue(job.id, 20)
    assert read(store, job.id).status is Status.canceled


def test_suspects_are_run_by_one_worker_at_a_time(store: JobStore) -> None:
    assert not store.acquire_suspect_lock("w1", 10)  # there is none
    jobs = [queued(store) for _ in range(2)]
    for job in jobs:
        died(store, job.id)
    fresh = queued(store)
    found = store.claim("c", ClaimRequest(jobs=9, pictures=9), 10)
    assert (ids(found.jobs), found.suspects) == ([fresh.id], 2)
    assert store.acquire_suspect_lock("w1", 10)
    assert not store.acquire_suspect_lock("w2", 10)
    assert store.claim_suspect("s", "w2", 10, 10) is None
    one = store.claim_suspect("s", "w1", 10, 10)
    assert one is not None
    assert store.claim_suspect("s", "w1", 10, 10) == one  # its answer got lost
    store.release_suspect_lock("w2")  # not hers to give
    assert not store.acquire_suspect_lock("w2", 10)
    store.release_suspect_lock("w1")
    assert store.acquire_suspect_lock("w2", 0.05)
    other = store.claim_suspect("t", "w2", 10, 0.05)
    assert other is not None
    assert {one.job.id, other.job.id} == {job.id for job in jobs}
    time.sleep(0.1)  # w2 died over it
    died_again = queued(store)
    died(store, died_again.id)
    assert store.acquire_suspect_lock("w1", 10)


def test_what_is_handed_back_goes_first_and_does_not_count(store: JobStore) -> None:
    jobs = [queued(store) for _ in range(3)]
    token = begun(store, jobs[0].id)
    assert release(store, jobs[0].id, token)
    assert not finish(store, jobs[0].id, token)
    (again,) = claimed(store, wanted=ONE)
    assert (again.job.id, again.job.attempts, again.job.status) == (jobs[0].id, 0, Status.queued)


def test_a_suspect_handed_back_is_still_one(store: JobStore) -> None:
    job = queued(store)
    died(store, job.id)
    assert store.acquire_suspect_lock("w", 10)
    suspect = store.claim_suspect("s", "w", 10, 10)
    assert suspect is not None
    store.begin_all([(job.id, suspect.token)])
    assert release(store, job.id, suspect.token)
    assert claimed(store) == []
    again = store.claim_suspect("t", "w", 10, 10)
    assert again is not None
    assert again.job.attempts == 1


def test_a_fault_of_the_storage_lets_a_job_wait(store: JobStore) -> None:
    job = queued(store)
    assert release(store, job.id, begun(store, job.id), 0.2)
    assert claimed(store) == []
    assert store.load().waiting == 1
    time.sleep(0.25)
    (again,) = claimed(store)
    assert (again.job.id, again.job.faults, again.job.attempts) == (job.id, 1, 0)


def test_a_job_that_waits_for_the_storage_can_be_canceled(store: JobStore) -> None:
    job = queued(store)
    release(store, job.id, begun(store, job.id), 60)
    assert store.cancel(job.id) is Status.canceled
    assert store.load().waiting == 0


@pytest.mark.parametrize(("workers", "jobs", "sent"), [(0, 5, 0), (1, 5, 1), (3, 2, 2), (3, 9, 3)])
def test_as_many_are_woken_as_have_something_to_do(
    store: JobStore, workers: int, jobs: int, sent: int
) -> None:
    for n in range(workers):
        store.heartbeat(f"w{n}", {}, 10)
    assert store.create_all([NewJob(a_job()) for _ in range(jobs)]).wakeups == sent


def test_wake_ups_on_their_way_are_not_sent_again(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    for n in range(3):
        store.heartbeat(f"w{n}", {}, 10)
    redis_client.rpush(wakeups_key(prefix), "one", "two")
    assert store.create_all([NewJob(a_job()) for _ in range(5)]).wakeups == 1
    assert store.claim("c", ONE, 10).wakeups == 0
    redis_client.delete(wakeups_key(prefix))  # all of them are lost
    assert store.claim("d", ONE, 10).wakeups == 1
    assert store.claim("e", ClaimRequest(jobs=10, pictures=10), 10).wakeups == 0  # nothing is left


def test_a_worker_that_holds_a_batch_is_woken_for_the_next(store: JobStore) -> None:
    """Else its networks would stand still until that is claimed and prepared."""
    store.heartbeat("one", {}, 60)
    store.create_all([NewJob(a_job()) for _ in range(8)])
    assert len(claimed(store)) == 8
    assert store.create_all([NewJob(a_job())]).wakeups == 1
    assert store.create_all([NewJob(a_job())]).wakeups == 0  # behind the other


def test_positions_are_of_those_that_wait(store: JobStore) -> None:
    first, second, unknown = queued(store).id, queued(store).id, new_id()
    asked = [second, first, unknown]
    assert store.queue_positions(asked) == {first: 0, second: 1, unknown: None}
    begun(store, first)
    assert store.queue_positions(asked) == {first: None, second: 0, unknown: None}


def test_positions_count_turns_and_priorities(store: JobStore) -> None:
    mine = [queued(store, owner="me") for _ in range(3)]
    yours = [queued(store, owner="you") for _ in range(5)]
    urgent = queued(store, owner="you", priority=Priority.high)
    found = store.queue_positions([job.id for job in (*mine, *yours, urgent)])
    order = ids(claimed(store))
    assert found[urgent.id] == order.index(urgent.id) == 0
    for job in (*mine, *yours):
        assert abs((found[job.id] or 0) - order.index(job.id)) <= 1


def test_every_job_is_claimed_once_however_many_ask(store: JobStore) -> None:
    jobs = [queued(store, owner=f"o{n % 7}") for n in range(100)]
    found: list[str] = []
    while more := claimed(store, wanted=ClaimRequest(jobs=9, pictures=9)):
        found += ids(more)
    assert sorted(found) == sorted(job.id for job in jobs)


def test_lost_sets_are_made_again_from_the_records(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    waits, runs, suspect = queued(store, owner="a"), queued(store), queued(store)
    died(store, suspect.id)
    begun(store, runs.id)
    for name in redis_client.scan_iter(f"{prefix}waiting:*"):
        redis_client.delete(name)
    for name in redis_client.scan_iter(f"{prefix}turns:*"):
        redis_client.delete(name)
    assert claimed(store) == []
    for _ in range(2):  # harmless the second time
        assert store.rebuild_sets() >= 2
    assert ids(claimed(store)) == [waits.id]
    assert store.acquire_suspect_lock("w", 10)


def test_a_job_handed_back_by_an_earlier_version_is_no_suspect(
    store: JobStore, redis_client: redis.Redis, prefix: str
) -> None:
    job = queued(store, start_within=0.05)
    begun(store, job.id)
    redis_client.hset(f"{prefix}job:{job.id}", mapping={"attempts": 0, "lease": 0})
    redis_client.delete(f"{prefix}leased")
    redis_client.zadd(f"{prefix}unfinished", {job.id: 0})
    time.sleep(0.1)
    store.rebuild_sets()
    assert store.past_deadline() == []  # it was begun in time, and waits anew
    assert ids(claimed(store)) == [job.id]
    assert redis_client.exists(f"{prefix}unfinished") == 0
