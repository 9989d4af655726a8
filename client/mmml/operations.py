"""What the clients do, without sockets and threads: each operation is a generator that yields its
next step and is sent the response, so that the blocking and the asynchronous client share it.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from httpx_sse import ServerSentEvent

from mmml.errors import (
    Busy,
    MmmlError,
    Record,
    StillRunning,
    Unreachable,
    error_from_response,
    json_object,
)
from mmml.requests import ApiRequest, record_path

RETRY_FOR = 30.0  # seconds for which a service that cannot be reached is retried
_DELAY = 0.5  # seconds, when the service does not say how long
_OVER_LIMIT = 429


@dataclass
class RetryPolicy:
    """``seconds``: how long one outage is retried; ``until``: a ``time.monotonic()`` after which
    nothing is retried.
    """

    seconds: float
    until: float = math.inf
    _outage_start: float | None = None

    def delay_after(self, error: MmmlError) -> float:
        """Seconds until the next try, as the service asks for. Raises ``error`` when it will not
        pass by itself, or not soon enough.
        """
        if not isinstance(error, Busy | Unreachable):
            raise error
        now = time.monotonic()
        if self._outage_start is None:
            self._outage_start = now
        delay = _DELAY if error.retry_after is None else error.retry_after
        # Exceeding a rate limit is no outage: a caller with a deadline may wait until then.
        limited = error.status == _OVER_LIMIT and math.isfinite(self.until)
        end = math.inf if limited else self._outage_start + self.seconds
        if now + delay > min(self.until, end):
            raise error
        return delay

    def reset(self) -> None:
        """The service answers again."""
        self._outage_start = None


def retry_seconds(retry_for: float, renamed: Mapping[str, float]) -> float:
    """``retry_for``, or its value under the name it had before, ``patience``. Raises TypeError for
    any other argument.
    """
    if not renamed:
        return retry_for
    if renamed.keys() != {"patience"}:
        raise TypeError(f"The client has no argument {', '.join(sorted(renamed))}.")
    message = "Client(patience=…) is called Client(retry_for=…) now."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return renamed["patience"]


T = TypeVar("T")
FINAL = ("succeeded", "failed", "canceled", "expired")
OnChange = Callable[[Record], None]
_LONG_POLL = 20.0  # seconds
_TRIES = 3  # of a request whose answer was lost
_PAGE = 100  # jobs requested at a time


@dataclass(frozen=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """Call what may block: it reads or writes files."""

    function: Callable[[], Any]


Step = ApiRequest | Sleep | Call
# A request is sent its response, or thrown Unreachable; a call is sent its result, a Sleep None.
Operation = Generator[Step, Any, T]


def send(request: ApiRequest) -> Operation[httpx.Response]:
    """One response. Raises Refused and Unreachable."""
    response: httpx.Response = yield request
    if not response.is_success:
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
    body = json_object(response)
    if body is None:
        raise MmmlError(f"What answers at {response.url} is no mmml service; check the address.")
    return body


def get_record(request: ApiRequest, retry_for: float) -> Operation[dict[str, Any]]:
    return read_object((yield from send_with_retries(request, RetryPolicy(retry_for))))


def get_member(request: ApiRequest, name: str, retry_for: float) -> Operation[str]:
    return str((yield from get_record(request, retry_for))[name])


def submit(encode: Callable[[], ApiRequest], retry_for: float) -> Operation[dict[str, Any]]:
    """The record of a job. ``encode`` makes its request, and reads the images for it."""
    request: ApiRequest = yield Call(encode)
    return (yield from get_record(request, retry_for))


def delete(record_id: str, retry_for: float) -> Operation[None]:
    """A job, or a batch with all of its jobs."""
    request = ApiRequest("DELETE", record_path(record_id))
    yield from send_with_retries(request, RetryPolicy(retry_for))


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


def download_images(job: Record, retry_for: float) -> Operation[list[bytes]]:
    """The image files of a finished job; those that failed are left out."""
    files = []
    for image in job["images"]:
        if image["url"]:
            request = ApiRequest("GET", image["url"], named=True)
            files.append((yield from send_with_retries(request, RetryPolicy(retry_for))).content)
    return files


def list_jobs(
    limit: int, status: str | None, task: str | None, retry_for: float
) -> Operation[list[dict[str, Any]]]:
    """The newest jobs, over as many pages as it takes."""
    filters = {k: v for k, v in {"status": status, "task": task}.items() if v}
    request = ApiRequest("GET", "/jobs", {"params": {**filters, "limit": min(limit, _PAGE)}})
    jobs: list[dict[str, Any]] = []
    while True:
        page = yield from get_record(request, retry_for)
        jobs += page["jobs"]
        if not page["next"] or len(jobs) >= limit:
            return jobs[:limit]
        request = ApiRequest("GET", page["next"], named=True)


RECONNECT_DELAY = 0.5  # seconds before a stream that ended early is requested again


@dataclass(frozen=True)
class Event:
    """Something that happened to a job or batch. ``kind``: status, position, progress, job (one of
    a batch has ended) or final; the data of ``final`` is the job or batch.
    """

    kind: str
    data: Mapping[str, Any]
    id: str = ""


class EventCursor:
    """The position in a job's or batch's event stream, from which a broken connection is resumed.
    ``finished``: nothing can follow.
    """

    def __init__(self, record_id: str, retry_for: float) -> None:
        self._path, self.retries = f"{record_path(record_id)}/events", RetryPolicy(retry_for)
        self._last_id = ""
        self.finished = False

    def request(self) -> ApiRequest:
        """The request for the events that were not received yet."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        return ApiRequest("GET", self._path, {"headers": headers})

    def receive(self, sent: ServerSentEvent) -> Event | None:
        """The event; None for what only keeps the connection open."""
        if not sent.data:
            return None
        self.retries.reset()
        self._last_id = sent.id or self._last_id
        self.finished = sent.event == "final"
        return Event(sent.event, json.loads(sent.data), sent.id)
