"""Refusing work, with a Retry-After that was measured."""

from __future__ import annotations

import time

import pytest

from app.gate import Caller
from app.keys import default_scopes, new_text, record
from app.pressure import check_room
from app.problems import Problem
from app.settings import GatewaySettings
from jobs.job import Job, new_id
from jobs.load import BYTES_PER_JOB
from jobs.memory_store import MemoryJobStore
from jobs.store import Outcome

OPEN = Caller(None, "127.0.0.1")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def queued(store: MemoryJobStore, clock: Clock, owner: str = "") -> str:
    job = Job(
        id=new_id(), task="synthesize", owner=owner, created_at=clock.now, request={"text": "a"}
    )
    assert store.create(job)
    return job.id


def work(store: MemoryJobStore, job_id: str) -> None:
    assert store.start(job_id, "t", 10)
    assert store.finish(job_id, "t", Outcome())


def refused(store: MemoryJobStore, caller: Caller = OPEN, **settings: int) -> Problem:
    with pytest.raises(Problem) as caught:
        check_room(store, GatewaySettings(**settings), caller)  # type: ignore[arg-type]
    return caught.value


def test_room_for_one_more() -> None:
    check_room(MemoryJobStore(), GatewaySettings(), OPEN)


def test_a_full_queue_tells_the_time_it_takes_to_drain() -> None:
    clock = Clock()
    store = MemoryJobStore(clock)
    jobs = [queued(store, clock) for _ in range(30)]
    for job in jobs[:10]:  # ten jobs in five seconds: two per second
        clock.now += 0.5
        work(store, job)
    problem = refused(store, max_queue=20)
    assert problem.status == 503
    assert "20 jobs are waiting" in problem.detail
    assert "2 of them end per second" in problem.detail
    assert problem.headers["Retry-After"] == "1"  # a tenth of the queue: two jobs
    problem = refused(store, max_queue=10)
    assert problem.headers["Retry-After"] == "6"  # eleven more than there may be


def test_without_anything_measured_nothing_is_made_up() -> None:
    clock = Clock()
    store = MemoryJobStore(clock)
    queued(store, clock)
    problem = refused(store, max_queue=1)
    assert "none of them has ended lately" in problem.detail
    assert problem.headers["Retry-After"] == "30"


def fill(store: MemoryJobStore, clock: Clock) -> int:
    """Submit until it is refused; returns how many were taken."""
    for taken in range(100):
        try:
            check_room(store, GatewaySettings(), OPEN)
        except Problem:
            return taken
        queued(store, clock)
    raise AssertionError("it was never refused")


def test_memory_is_refused_before_it_is_full() -> None:
    clock = Clock()
    store = MemoryJobStore(clock)
    store.memory_limit = 40 * BYTES_PER_JOB
    for _ in range(17):
        check_room(store, GatewaySettings(), OPEN)
        work(store, queued(store, clock))
    # 36 of 40 may be used. 17 are finished; one that waits counts as one, and for one more that is
    # kept for its result.
    assert fill(store, clock) == 10
    problem = refused(store)
    assert problem.status == 503
    assert "memory" in problem.detail
    # Room is made when the oldest results expire.
    problem = refused(store, result_ttl=100)
    assert 98 <= int(problem.headers["Retry-After"]) <= 100
    load = store.load()
    assert load.used_bytes + load.unfinished * load.bytes_per_job <= store.memory_limit


def test_one_key_has_its_share_of_the_queue() -> None:
    clock = Clock()
    store = MemoryJobStore(clock)
    key = record(new_text(), "shop", default_scopes(), max_active=2)
    caller = Caller(key, "192.0.2.1")
    ids = [queued(store, clock, key.owner) for _ in range(2)]
    problem = refused(store, caller)
    assert problem.status == 429
    assert "2 unfinished jobs" in problem.detail
    check_room(store, GatewaySettings(), OPEN)
    work(store, ids[0])
    check_room(store, GatewaySettings(), caller)
