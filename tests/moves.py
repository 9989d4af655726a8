"""What workers do to jobs, for tests of what others do."""

from __future__ import annotations

import time
from typing import Any

from jobs.job import Job, new_id
from jobs.redis_store import JobStore
from jobs.store import ClaimedJob, ClaimRequest, IdempotencyKey, JobOutcome, NewJob, Renewal

ANY = ClaimRequest(jobs=1000, pictures=10_000)


def a_job(**values: Any) -> Job:
    made = {"id": new_id(), "task": "synthesize", "request": {"text": "a bird"}}
    return Job(**{**made, **values})


def create(store: JobStore, new: NewJob) -> Job | None:
    """The record as stored; None for one that there is. Raises what the store answers."""
    (answer,) = store.create_all([new]).jobs
    if isinstance(answer, Exception):
        raise answer
    return answer


def queued(store: JobStore, once: IdempotencyKey | None = None, **values: Any) -> Job:
    """A new job, as recorded."""
    limits = {name: values.pop(name) for name in _LIMITS if name in values}
    job = create(store, NewJob(a_job(**values), once, **limits))
    assert job is not None
    return job


_LIMITS = (
    *("start_within", "max_unfinished", "max_running"),
    *("max_records", "max_stored", "stored"),
)


def read(store: JobStore, job_id: str) -> Job:
    """The record as it is now."""
    found = store.get(job_id)
    assert found is not None
    return found


def claimed(store: JobStore, lease: float = 10, wanted: ClaimRequest = ANY) -> list[ClaimedJob]:
    return list(store.claim(new_id(), wanted, lease).jobs)


def claimed_one(store: JobStore, job_id: str, lease: float = 10, wanted: ClaimRequest = ANY) -> str:
    """The token of that very job; all others that wait are put back."""
    found = claimed(store, lease, wanted)
    others = [(c.job.id, c.token) for c in found if c.job.id != job_id]
    if others:
        store.release_all(others)
    (token,) = (c.token for c in found if c.job.id == job_id)
    return token


def begun(store: JobStore, job_id: str, lease: float = 10, wanted: ClaimRequest = ANY) -> str:
    """The token of that job, which runs from now on."""
    token = claimed_one(store, job_id, lease, wanted)
    assert store.begin_all([(job_id, token)])[0] is not None
    return token


def finished(store: JobStore, job_id: str, outcome: JobOutcome | None = None) -> None:
    token = begun(store, job_id)
    assert store.finish_all([(job_id, token, outcome or JobOutcome())]) == [True]


def died(store: JobStore, job_id: str, lease: float = 0.01) -> None:
    """A worker began the job and was never heard of again."""
    begun(store, job_id, lease)
    time.sleep(3 * lease)
    assert store.requeue(job_id, 20)


def finish(store: JobStore, job_id: str, token: str, outcome: JobOutcome | None = None) -> bool:
    (answer,) = store.finish_all([(job_id, token, outcome or JobOutcome())])
    return answer is True


def renew(store: JobStore, job_id: str, token: str, lease: float = 10) -> Renewal:
    (answer,) = store.renew_all([(job_id, token)], lease)
    assert isinstance(answer, Renewal)
    return answer


def release(store: JobStore, job_id: str, token: str, delay: float = 0.0) -> bool:
    (answer,) = store.release_all([(job_id, token)], delay)
    return answer is True
