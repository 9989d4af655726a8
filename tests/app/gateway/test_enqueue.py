"""Jobs that arrive together are recorded together, and wake no more workers than there are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from app.gateway.enqueue import JobEnqueuer, WakeUpSender
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.job import Job
from jobs.redis_store import JobStore
from jobs.store import IdempotencyKey, NewJob
from tests.moves import a_job


class Desk:
    """An enqueuer whose wake-ups are counted. ``trips``: how many jobs each round trip made."""

    def __init__(self, store: JobStore, **settings: int) -> None:
        self.store, self.trips, self.woken = store, [], []  # type: ignore[var-annotated]
        given = GatewaySettings(**settings)  # type: ignore[arg-type]
        self.enqueuer = JobEnqueuer(store, lambda: self, lambda: given)

    def send(self, count: int) -> None:
        made = self.store.load().waiting
        self.trips.append(made - sum(self.trips))
        self.woken.append(count)

    def take(self, *jobs: NewJob) -> list[Any]:
        async def run() -> list[Any]:
            taken = (self.enqueuer.enqueue(job) for job in jobs)
            return await asyncio.gather(*taken, return_exceptions=True)

        return asyncio.run(run())

    def take_apart(self, seconds: float) -> None:
        """Two jobs, the second a while after the first."""

        async def run() -> None:
            first = asyncio.create_task(self.enqueuer.enqueue(new()))
            await asyncio.sleep(seconds)
            await asyncio.gather(first, self.enqueuer.enqueue(new()))

        asyncio.run(run())


def new(once: IdempotencyKey | None = None, **values: Any) -> NewJob:
    return NewJob(a_job(**values), once)


@pytest.fixture
def desk(store: JobStore) -> Desk:
    return Desk(store)


def test_a_job_comes_back_as_recorded(desk: Desk) -> None:
    offer = new()
    (job,) = desk.take(offer)
    assert isinstance(job, Job)
    assert job == desk.store.get(offer.job.id)
    assert job.created_at > 0


def test_jobs_of_one_moment_share_a_round_trip(desk: Desk) -> None:
    desk.take(*(new() for _ in range(20)))
    assert desk.trips == [20]


def test_workers_are_woken_as_far_as_there_are_any(desk: Desk) -> None:
    for name in "ab":
        desk.store.heartbeat(name, {}, 60)
    desk.take(*(new() for _ in range(8)))
    desk.take(new())  # behind the others: somebody has been woken for them
    assert desk.woken == [2, 0]


def test_behind_others_a_job_waits_a_moment_for_company(desk: Desk) -> None:
    desk.take(new())  # nobody takes it: from now on there is a line
    desk.take(new())
    desk.take_apart(0.001)
    assert desk.trips == [1, 1, 2]


def test_room_is_counted_for_each_of_them(store: JobStore) -> None:
    desk = Desk(store, max_queue=3)
    answers = desk.take(*(new() for _ in range(5)))
    assert all(isinstance(answer, Job) for answer in answers[:3])
    refused = [answer for answer in answers[3:] if isinstance(answer, Problem)]
    assert [problem.status for problem in refused] == [503, 503]
    assert desk.store.load().waiting == 3


def test_a_job_that_exists_is_told_from_a_new_one(desk: Desk) -> None:
    offer = new()
    first, again = desk.take(offer, offer)
    assert isinstance(first, Job)
    assert again is None


def test_an_owners_share_is_counted_where_jobs_are_made(desk: Desk) -> None:
    """However many gateways ask at the same time."""
    offers = [NewJob(a_job(owner="me"), max_unfinished=2) for _ in range(4)]
    answers = desk.take(*offers)
    assert [isinstance(answer, Job) for answer in answers] == [True, True, False, False]
    refusal = answers[2]
    assert isinstance(refusal, Problem)
    assert refusal.status == 429
    assert "2 unfinished jobs" in refusal.detail


def test_a_broker_that_goes_silent_refuses_no_job(
    valkey: str, prefix: str, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection stands and answers no more: workers look by themselves."""
    sender = WakeUpSender(valkey, prefix)
    sender.send(1)
    redis_client.client_pause(30_000, all=False)  # writes
    try:
        sender.send(1)
    finally:
        redis_client.client_unpause()
    assert "no worker woken" in caplog.text
