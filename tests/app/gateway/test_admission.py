"""Refusing work, with a Retry-After that was measured."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app.gateway.admission import check_admission, check_disk, shares
from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.auth import Caller
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.blobs import BlobStore
from jobs.connections import connect
from jobs.load import BYTES_PER_JOB, Load
from jobs.redis_store import JobStore
from tests.conftest import private_broker
from tests.moves import finished, queued

OPEN = Caller(None, "127.0.0.1")


def refused(store: JobStore, caller: Caller = OPEN, **settings: int) -> Problem:
    with pytest.raises(Problem) as caught:
        check_admission(store, GatewaySettings(**settings), caller)  # type: ignore[arg-type]
    return caught.value


@pytest.fixture
def lonely() -> Iterator[redis.Redis]:
    """Other tests' connections, megabytes that come and go, are no part of its memory; and what the
    first jobs cost once, as scripts do, has been spent.
    """
    with private_broker() as address, contextlib.closing(connect(address)) as client:
        store = JobStore(client, "first:")
        for _ in range(30):
            store.cancel(queued(store).id)
            finished(store, queued(store).id)
            check_admission(store, GatewaySettings(), OPEN)
        yield client


def test_room_for_one_more(store: JobStore) -> None:
    check_admission(store, GatewaySettings(), OPEN)


def test_a_full_queue_tells_the_time_it_takes_to_drain(store: JobStore) -> None:
    jobs = [queued(store).id for _ in range(30)]
    started = time.monotonic()
    for job in jobs[:10]:  # ten jobs in two seconds
        time.sleep(0.18)
        finished(store, job)
    rate = 10 / (time.monotonic() - started)
    problem = refused(store, max_queue=20)
    assert problem.status == 503
    assert "20 jobs are waiting" in problem.detail
    assert "of them end per second" in problem.detail
    assert problem.headers["Retry-After"] == "1"  # a tenth of the queue: two jobs
    problem = refused(store, max_queue=10)
    assert int(problem.headers["Retry-After"]) == pytest.approx(11 / rate, abs=1.5)


def test_without_anything_measured_nothing_is_made_up(store: JobStore) -> None:
    queued(store)
    problem = refused(store, max_queue=1)
    assert "none of them has ended lately" in problem.detail
    assert problem.headers["Retry-After"] == "30"


def test_memory_is_refused_before_it_is_full(lonely: redis.Redis, prefix: str) -> None:
    used = JobStore(lonely, prefix).load().used_bytes
    limit = round((used + 40 * BYTES_PER_JOB) / 0.9)
    store = JobStore(lonely, prefix, limit)
    finished(store, queued(store).id)
    taken = 0
    while taken < 300:
        try:
            check_admission(store, GatewaySettings(), OPEN)
        except Problem:
            break
        queued(store)
        taken += 1
    assert 10 < taken < 200  # each counts with what it will weigh when it is done
    problem = refused(store)
    assert problem.status == 503
    assert "memory" in problem.detail
    assert "DELETE /jobs/ID" in problem.detail
    # Room is made when the oldest results expire.
    problem = refused(store, result_ttl=100)
    assert 90 <= int(problem.headers["Retry-After"]) <= 100


def test_one_key_has_its_share_of_the_queue(store: JobStore) -> None:
    key = new_api_key(generate_key(), "shop", default_scopes(), max_active=2)
    caller = Caller(key, "192.0.2.1")
    ids = [queued(store, owner=key.owner).id for _ in range(2)]
    problem = refused(store, caller)
    assert problem.status == 429
    assert "2 unfinished jobs" in problem.detail
    check_admission(store, GatewaySettings(), OPEN)
    finished(store, ids[0])
    check_admission(store, GatewaySettings(), caller)


def caller_of(name: str) -> Caller:
    return Caller(new_api_key(generate_key(), name, default_scopes()), "192.0.2.1")


def test_one_key_leaves_room_in_the_queue(store: JobStore) -> None:
    hog, other = caller_of("hog"), caller_of("other")
    for _ in range(5):
        check_admission(store, GatewaySettings(max_queue=10), hog)
        queued(store, owner=hog.owner)
    problem = refused(store, hog, max_queue=10)
    assert problem.status == 429
    assert "5 unfinished jobs" in problem.detail
    for _ in range(2):  # half of what the first has left
        check_admission(store, GatewaySettings(max_queue=10), other)
        queued(store, owner=other.owner)
    check_admission(store, GatewaySettings(max_queue=10), caller_of("third"))


def test_one_key_leaves_memory_for_records(lonely: redis.Redis, prefix: str) -> None:
    used = JobStore(lonely, prefix).load().used_bytes
    store = JobStore(lonely, prefix, round((used + 30 * BYTES_PER_JOB) / 0.9))
    hog, taken = caller_of("hog"), 0
    problem: Problem | None = None
    while problem is None and taken < 1000:
        store.cancel(queued(store, owner=hog.owner).id)
        taken += 1
        try:
            check_admission(store, GatewaySettings(), hog)
        except Problem as refusal:
            problem = refusal
    assert taken > 10
    assert problem
    assert problem.status == 429
    assert "finished ones too" in problem.detail
    assert "DELETE /jobs/ID" in problem.detail
    check_admission(store, GatewaySettings(), caller_of("other"))


def test_the_less_is_left_the_less_one_may_have() -> None:
    def records(used: int) -> int | None:
        load = Load(400, 500, 1, used * 1000, 2_000_000, 1000)
        places, most = shares(GatewaySettings(), load)
        assert places == 600
        return most

    assert [records(used) for used in (0, 1000, 1299, 1300, 5000)] == [5200, 1200, 4, 0, 0]
    assert shares(GatewaySettings(), Load(0, 0, 1, 0, None, 1000)) == (1000, None)


def test_full_memory_without_results_is_the_operators(
    redis_client: redis.Redis, prefix: str
) -> None:
    problem = refused(JobStore(redis_client, prefix, 1000))
    assert "only whoever runs the service" in problem.detail
    assert "DELETE" not in problem.detail


def test_a_full_disk_is_refused_before_it_is_full(tmp_path: Path) -> None:
    blobs = BlobStore.from_url(tmp_path.as_uri())
    check_disk(blobs, GatewaySettings())
    with pytest.raises(Problem) as caught:
        check_disk(blobs, GatewaySettings(min_free_disk=2**60))  # type: ignore[arg-type]
    assert caught.value.status == 503
    assert caught.value.headers["Retry-After"] == "60"
    assert "1.0EiB are kept" in caught.value.detail
    check_disk(BlobStore.from_url("memory://"), GatewaySettings(min_free_disk=2**60))  # type: ignore[arg-type]
