"""What the clients do, without sockets and threads: each operation is a generator that yields its
next step and is sent the response, so that the blocking and the asynchronous client share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from mmml.errors import (
    JobFailed,
    MmmlError,
    Record,
    StillRunning,
    Unreachable,
    error_from_response,
)
from mmml.requests import ApiRequest, list_jobs_request
from mmml.retry import RetryPolicy

T = TypeVar("T")
FINAL = ("succeeded", "failed", "canceled", "expired")
OnChange = Callable[[Record], None]
_LONG_POLL = 20.0  # seconds
_TRIES = 3  # of a request whose answer was lost


@dataclass(frozen=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


Step = ApiRequest | Sleep
# A request is sent its response, or thrown Unreachable; a Sleep is sent None.
Operation = Generator[Step, httpx.Response | None, T]


def send(request: ApiRequest) -> Operation[httpx.Response]:
    """One response. Raises Refused and Unreachable."""
    response = yield request
    if response is None:
        raise TypeError("a request is answered by a response")
    if response.is_error:
        raise error_from_response(response)
    return response


def send_with_retries(request: ApiRequest, retries: RetryPolicy) -> Operation[httpx.Response]:
    """The response of a service that may be busy meanwhile. A request whose answer is lost is sent
    again, a few times, if it is idempotent.
    """
    tries = _TRIES if request.method == "GET" or "headers" in request.options else 1
    while True:
        try:
            return (yield from send(request))
        except Unreachable as error:
            tries -= 1
            if not tries or not error.answer_lost:
                raise
            yield Sleep(retries.delay_after(error))
        except MmmlError as error:
            yield Sleep(retries.delay_after(error))


def read_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a response. Raises MmmlError when it comes from another program."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise MmmlError(f"What answers at {response.url} is no mmml service; check the address.")
    return body


def get_record(request: ApiRequest, retries: RetryPolicy) -> Operation[dict[str, Any]]:
    """A JSON object."""
    return read_object((yield from send_with_retries(request, retries)))


def wait_for_end(
    job_id: str, timeout: float, retry_for: float, on_change: OnChange | None
) -> Operation[dict[str, Any]]:
    """The job once it is final. A service that restarts meanwhile is waited for."""
    deadline = time.monotonic() + timeout
    poll, retries = 0.0, RetryPolicy(retry_for, deadline)
    while True:
        try:
            request = ApiRequest("GET", f"/jobs/{job_id}", {"params": {"wait": poll}})
            job = read_object((yield from send(request)))
        except MmmlError as error:
            yield Sleep(retries.delay_after(error))
            continue
        retries.reset()
        if on_change:
            on_change(job)
        if job["status"] in FINAL:
            return job
        if time.monotonic() > deadline:
            raise StillRunning(job, timeout)
        longest = 1.0 if on_change else _LONG_POLL
        poll = min(longest, max(0.0, deadline - time.monotonic()))


def require_success(job: Record) -> Record:
    """The job. Raises JobFailed when it ended otherwise."""
    if job["status"] != "succeeded":
        raise JobFailed(job)
    return job


def download_images(job: Record, retry_for: float) -> Operation[list[bytes]]:
    """The image files of a finished job; those that failed are left out."""
    files = []
    for image in job["images"]:
        if image["url"]:
            request = ApiRequest("GET", image["url"])
            files.append((yield from send_with_retries(request, RetryPolicy(retry_for))).content)
    return files


def list_jobs(
    limit: int, status: str | None, task: str | None, retry_for: float
) -> Operation[list[dict[str, Any]]]:
    """The newest jobs, over as many pages as it takes."""
    request, jobs = list_jobs_request(limit, status, task), list[dict[str, Any]]()
    while True:
        page = yield from get_record(request, RetryPolicy(retry_for))
        jobs += page["jobs"]
        if not page["next"] or len(jobs) >= limit:
            return jobs[:limit]
        request = ApiRequest("GET", page["next"])
