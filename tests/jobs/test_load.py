"""Load: the memory of a real broker, where what is promised to accepted jobs is there when they
end, and how fast the queue drains.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from app.gateway.admission import check_admission, check_memory
from app.gateway.api_keys import (
    KeyStore,
    default_scopes,
    generate_key,
    new_api_key,
    revoke,
)
from app.gateway.auth import Caller
from app.gateway.problems import Problem
from app.local.broker import BROKER_MEMORY
from app.settings import GatewaySettings
from jobs.connections import connect
from jobs.job import ImageRecord, Job, Status
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest, JobOutcome
from tests.conftest import private_broker
from tests.moves import begun, died, finish, finished, queued

ONE = ClaimRequest(jobs=1, pictures=1)
LIMIT = 8 * 2**20


@pytest.fixture
def small_client() -> Iterator[redis.Redis]:
    """A broker with room for some hundred jobs."""
    with private_broker(LIMIT) as address:
        client = connect(address)
        yield client
        client.close()


@pytest.fixture
def small(small_client: redis.Redis) -> JobStore:
    return JobStore(small_client)


def submitted(store: JobStore) -> Job:
    request = {"text": "a bird with a red crown and blue wings " * 20}
    return queued(store, request=request)


def sixteen_pictures(job: Job) -> JobOutcome:
    return JobOutcome(
        [
            ImageRecord(index=n, seed=n, sha256="a" * 64, blob=f"jobs/{job.id}/out/token-{n}.png")
            for n in range(16)
        ],
        receipt={"seeds": list(range(16))},
    )


def done(store: JobStore, count: int) -> None:
    for _ in range(count):
        job = submitted(store)
        finished(store, job.id, sixteen_pictures(job))


def test_every_accepted_job_can_be_finished(small: JobStore) -> None:
    caller, accepted = Caller(None, ""), []
    refusal: Problem | None = None
    while refusal is None:
        assert len(accepted) < 5000
        try:
            check_admission(small, GatewaySettings(max_queue=10_000), caller)
        except Problem as problem:
            refusal = problem
        else:
            accepted.append(submitted(small))
    assert refusal.status == 503
    assert "memory" in refusal.detail
    assert int(refusal.headers["Retry-After"]) >= 1
    assert len(accepted) > 100
    for job in accepted:
        token = begun(small, job.id, wanted=ONE)
        assert finish(small, job.id, token, sixteen_pictures(job))
    assert {small.get(job.id).status for job in accepted} == {Status.succeeded}  # type: ignore[union-attr]
    load = small.load()
    assert LIMIT / 2 < load.used_bytes < LIMIT
    for job in accepted:
        small.expire(job.id)
    check_admission(small, GatewaySettings(), caller)


def test_what_keeps_the_service_going_has_room_when_no_job_has(
    small: JobStore, small_client: redis.Redis
) -> None:
    """The last tenth is left to workers and to whoever runs the service."""
    keys, settings = KeyStore(small_client), GatewaySettings()
    keys.add(new_api_key(generate_key(), "shop", default_scopes()))
    running = submitted(small)
    token = begun(small, running.id)
    filling = 0
    while (left := 0.92 * LIMIT - small.load().used_bytes) > 0:
        small_client.set(f"filling:{filling}", b"x" * min(int(left) + 1000, 2**20))
        filling += 1
    for check in (check_memory, lambda *both: check_admission(*both, Caller(None, ""))):
        with pytest.raises(Problem, match="memory"):
            check(small, settings)
    assert revoke(keys, "shop").revoked_at
    assert small.cancel(queued(small).id) is Status.canceled
    small.heartbeat("w", {"device": "cpu"}, 5)
    assert finish(small, running.id, token, sixteen_pictures(running))
    assert small.expire(running.id)


def test_the_lower_limit_of_two_counts(small_client: redis.Redis) -> None:
    for own, wanted in ((LIMIT // 2, LIMIT // 2), (2 * LIMIT, LIMIT)):
        assert JobStore(small_client, memory_limit=own).load().limit_bytes == wanted


def test_the_weight_of_a_job_is_what_it_takes(small: JobStore, small_client: redis.Redis) -> None:
    done(small, 100)  # what scripts and tables take once is not counted
    before = small.load().used_bytes
    done(small, 400)
    load = JobStore(small_client).load()
    measured = (load.used_bytes - before) / 400
    assert measured * 0.9 < load.bytes_per_job < measured * 1.5
    assert load.limit_bytes == LIMIT


def test_the_private_broker_has_a_limit(valkey: str) -> None:
    client = connect(valkey)
    assert JobStore(client).load().limit_bytes == BROKER_MEMORY
    assert JobStore(client, memory_limit=1000).load().limit_bytes == 1000
    client.close()


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
