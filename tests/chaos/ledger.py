"""What clients were promised, and whether it was kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from jobs.errors import StoreError
from jobs.job import STREAM_START, Job, Status
from tests.chaos.faults import Finding
from tests.chaos.stack import Stack

_CHUNK = 200
Ends = dict[str, Job]


@dataclass(frozen=True)
class Answer:
    """``status`` 0: there was none; ``late``: its Retry-After, None without one."""

    status: int
    seconds: float
    job: str = ""
    retry_after: str | None = None
    problem: str = ""

    @property
    def accepted(self) -> bool:
        return self.status in (200, 202)

    @property
    def polite(self) -> bool:
        """Accepted, or refused with the time to come back, and either within five seconds."""
        result = self.accepted or (self.status == 503 and self.retry_after is not None)
        return result and self.seconds <= 5.0


def post(http: httpx.Client, url: str, key: str | None = None, **request: Any) -> Answer:
    """One submission; the answer, whatever it is."""
    headers = {"Idempotency-Key": key} if key else {}
    started = time.monotonic()
    try:
        response = http.post(f"{url}/synthesize", json=request, headers=headers)
    except httpx.TransportError as error:
        return Answer(0, time.monotonic() - started, problem=repr(error))
    seconds = time.monotonic() - started
    known = response.status_code in (200, 202)
    return Answer(
        response.status_code,
        seconds,
        response.json()["id"] if known else "",
        response.headers.get("retry-after"),
        "" if known else response.text[:200],
    )


def submit(stack: Stack, *texts: str) -> list[str]:
    """Jobs of these texts, submitted together. All must be accepted."""
    with httpx.Client(timeout=30) as http, ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda text: post(http, stack.urls[0], text=text), texts)
        answers = list(found)
    refused = [a for a in answers if not a.accepted]
    assert not refused, f"a job was refused: {refused[0]}"
    return [a.job for a in answers]


def ends_of(stack: Stack, jobs: Iterable[str], seconds: float) -> tuple[Ends, list[str]]:
    """The final records, and the ids of those that have no end after ``seconds``."""
    waiting, ends = list(jobs), Ends()
    deadline = time.monotonic() + seconds
    while waiting:
        for job_id in waiting[:]:
            job = _record(stack, job_id)
            if job and job.status.final:
                ends[job_id] = job
                waiting.remove(job_id)
        if time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(0.25)
    return ends, waiting


def settled(
    stack: Stack,
    jobs: Sequence[str],
    since: float,
    within: float,
    failing: Sequence[str] = (),
    created_since: float | None = None,
) -> Finding:
    """Wait for the end of ``jobs``: each must succeed but those of ``failing``, which must fail.
    ``since``: when the fault struck, in seconds since 1970; ``created_since``: look for jobs that
    nobody was promised, too.
    """
    ends, lost = ends_of(stack, jobs, max(since + within - time.time(), 1.0))
    seconds = max((j.finished_at or 0 for j in ends.values()), default=since) - since
    twice = doubled(stack, ends) + (unknown(stack, jobs, created_since) if created_since else 0)
    broken = [
        f"a job {job.status} that should not: {job.error.detail if job.error else ''}"
        for job in ends.values()
        if job.status is not (Status.failed if job.id in failing else Status.succeeded)
    ]
    broken += [f"{n} pictures are missing" for n in [missing(stack, ends)] if n]
    result = [f"a lost job was {status}" for status in {_status(stack, job) for job in lost}]
    return Finding(len(lost), twice, max(seconds, 0.0), tuple(broken + result))


def doubled(stack: Stack, ends: Ends) -> int:
    """Jobs that ended twice, or show more pictures than were asked for."""
    count = 0
    ids = list(ends)
    for start in range(0, len(ids), _CHUNK):
        result = stack.store.events_after(dict.fromkeys(ids[start : start + _CHUNK], STREAM_START))
        for job_id, events in result.items():
            finals = sum(event.final for event in events or ())
            wanted = int(ends[job_id].request.get("count", 1))
            count += finals > 1 or len(ends[job_id].images) > wanted
    return count


def unknown(stack: Stack, jobs: Sequence[str], since: float) -> int:
    """Jobs recorded since then of which no client knows: a request that made two."""
    known, cursor, count = set(jobs), None, 0
    oldest = f"{int(since * 1000):012x}"
    while True:
        page, cursor = stack.store.list_jobs(None, 100, cursor)
        new = [job.id for job in page if job.id >= oldest]
        count += sum(job_id not in known for job_id in new)
        if cursor is None or len(new) < len(page):
            return count


def missing(stack: Stack, ends: Ends) -> int:
    """Pictures that a record names and the storage does not have."""
    named = [i.blob for job in ends.values() for i in job.images if i.error is None]
    return sum(not (stack.blobs / blob).is_file() for blob in named)


def leftovers(stack: Stack, ends: Ends) -> int:
    """Sets of pictures of runs that ended nowhere; they go when their job is erased."""
    folders = (stack.blobs / "jobs" / job_id for job_id in ends)
    return sum(max(len(_runs(folder)) - 1, 0) for folder in folders if folder.is_dir())


def _runs(folder: Path) -> set[str]:
    """The runs that left pictures in a job's folder, beside what was sent."""
    return {file.name.rpartition("-")[0] for file in folder.iterdir()} - {"in"}


def _record(stack: Stack, job_id: str) -> Job | None:
    try:
        return stack.store.get(job_id)
    except StoreError:
        return None


def _status(stack: Stack, job_id: str) -> str:
    job = _record(stack, job_id)
    return job.status.value if job else "unknown"
