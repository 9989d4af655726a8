"""What the clients do, without sockets and threads: each flow is a generator that yields what is to
be done and is sent the answer, so that the blocking and the asynchronous client share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from app.client.errors import JobFailed, MmmlError, Record, StillRunning, Unreachable, refusal
from app.client.patience import Patience
from app.client.requests import Call, page

T = TypeVar("T")
FINAL = ("succeeded", "failed", "canceled", "expired")
OnChange = Callable[[Record], None]
_POLL = 20.0  # seconds that one long poll lasts
_TRIES = 3  # of a submission whose answer got lost


@dataclass(frozen=True)
class Pause:
    """Nothing is to be done for so many seconds."""

    seconds: float


Step = Call | Pause
# A Call is sent its response, or thrown Unreachable; a Pause is sent None.
Flow = Generator[Step, httpx.Response | None, T]


def asked(call: Call) -> Flow[httpx.Response]:
    """One answer. Raises Refused and Unreachable."""
    answer = yield call
    if answer is None:
        raise TypeError("a call is answered by a response")
    if answer.is_error:
        raise refusal(answer)
    return answer


def patiently(call: Call, patience: Patience) -> Flow[httpx.Response]:
    """The answer of a service that may be busy meanwhile. A request whose answer gets lost is sent
    again, a few times, if that does no harm.
    """
    tries = _TRIES if call.method == "GET" or "headers" in call.options else 1
    while True:
        try:
            return (yield from asked(call))
        except Unreachable as error:
            tries -= 1
            if not tries or not error.answer_lost:
                raise
            yield Pause(patience.pause(error))
        except MmmlError as error:
            yield Pause(patience.pause(error))


def read(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises MmmlError when it is something else's answer."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MmmlError(f"What answers at {answer.url} is no mmml service; check the address.")
    return found


def record(call: Call, patience: Patience) -> Flow[dict[str, Any]]:
    """A JSON object."""
    return read((yield from patiently(call, patience)))


def waited(
    job_id: str, timeout: float, patience: float, on_change: OnChange | None
) -> Flow[dict[str, Any]]:
    """The job once it is final. A service that restarts meanwhile is waited for."""
    deadline = time.monotonic() + timeout
    poll, left = 0.0, Patience(patience, deadline)
    while True:
        try:
            call = Call("GET", f"/jobs/{job_id}", {"params": {"wait": poll}})
            job = read((yield from asked(call)))
        except MmmlError as error:
            yield Pause(left.pause(error))
            continue
        left.rewarded()
        if on_change:
            on_change(job)
        if job["status"] in FINAL:
            return job
        if time.monotonic() > deadline:
            raise StillRunning(job, timeout)
        longest = 1.0 if on_change else _POLL
        poll = min(longest, max(0.0, deadline - time.monotonic()))


def succeeded(job: Record) -> Record:
    """The job. Raises JobFailed when it ended otherwise."""
    if job["status"] != "succeeded":
        raise JobFailed(job)
    return job


def pictures(job: Record, patience: float) -> Flow[list[bytes]]:
    """A finished job's pictures; those that failed are left out."""
    found = []
    for image in job["images"]:
        if image["url"]:
            call = Call("GET", image["url"])
            found.append((yield from patiently(call, Patience(patience))).content)
    return found


def listed(
    limit: int, status: str | None, task: str | None, patience: float
) -> Flow[list[dict[str, Any]]]:
    """The newest jobs, over as many pages as it takes."""
    call, found = page(limit, status, task), list[dict[str, Any]]()
    while True:
        shown = yield from record(call, Patience(patience))
        found += shown["jobs"]
        if not shown["next"] or len(found) >= limit:
            return found[:limit]
        call = Call("GET", shown["next"])
