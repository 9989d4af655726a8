"""The client's errors; every message is a sentence, mostly the service's own.

* MmmlError
  * UnusablePicture: nothing was sent
  * Unreachable: no service answers
  * Refused: the service refuses the request
    * Busy: not now
  * JobFailed: the job ended without a picture
  * StillRunning: the time-out came before the job's end
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

Record = Mapping[str, Any]
_LATER = (429, 503)


class MmmlError(Exception):
    """Base of all. ``status``: of the HTTP answer; ``code``: for programs, such as
    ``no_known_words``, ``no_service`` or ``timeout``; ``retry_after``: seconds; ``problem``: the
    answer's problem details (RFC 9457). What does not apply is None.
    """

    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    problem: Record | None = None


class UnusablePicture(MmmlError):
    """A picture that is to be sent is not there or can't be read; the service was not asked."""

    code = "bad_input"


class Unreachable(MmmlError):
    """No service answers, or it went away. ``answer_lost``: the request may have reached it."""

    code = "no_service"

    def __init__(self, detail: str, answer_lost: bool = False) -> None:
        super().__init__(detail)
        self.answer_lost = answer_lost


class Refused(MmmlError):
    """The service refuses the request: ``status`` says how, ``problem`` in which fields."""

    def __init__(
        self, detail: str, status: int, retry_after: float | None, problem: Record | None
    ) -> None:
        super().__init__(detail)
        self.status, self.retry_after, self.problem = status, retry_after, problem
        self.code = problem.get("code") if problem else None


class Busy(Refused):
    """Not now (429, 503): over a limit, no room, no worker, or just starting. The client has
    retried as long as it may; ask again in ``retry_after`` seconds.
    """


class JobFailed(MmmlError):
    """The job failed, was canceled or has expired. ``job`` is its record."""

    def __init__(self, job: Record) -> None:
        error = job["error"]
        super().__init__(error["detail"] if error else f"The job was {job['status']}.")
        self.job = job
        self.code = error["code"] if error else job["status"]


class StillRunning(MmmlError):
    """The job is not over yet, and goes on. ``job`` is its record."""

    code = "timeout"

    def __init__(self, job: Record, seconds: float) -> None:
        super().__init__(
            f"Job {job['id']} is still {job['status']} after {seconds:.0f} s; look again later."
        )
        self.job = job


def error_from_response(answer: httpx.Response) -> Refused:
    problem = json_object(answer)
    fallback = f"The service answered {answer.status_code} {answer.reason_phrase}."
    if answer.has_redirect_location:
        fallback = f"The address leads on to {answer.headers['location']}; is the URL right?"
    return (Busy if answer.status_code in _LATER else Refused)(
        str(problem.get("detail", fallback)) if problem else fallback,
        answer.status_code,
        _retry_after(answer.headers.get("retry-after", "")),
        problem,
    )


def _retry_after(text: str) -> float | None:
    """Seconds, which a proxy may give as a date (RFC 9110, section 10.2.3)."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def json_object(answer: httpx.Response) -> dict[str, Any] | None:
    """What the body holds, if it is an object in JSON."""
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


_ANSWER_LOST = (httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout, httpx.WriteError)


def connection_error(url: str, error: httpx.TransportError) -> Unreachable:
    """The error of a connection that broke or never was."""
    return Unreachable(
        f"No service answers at {url} ({error}). Start one with: mmml serve",
        isinstance(error, _ANSWER_LOST),
    )
