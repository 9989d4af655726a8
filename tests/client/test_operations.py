"""What a client does while a service is busy, restarts or is gone; operations driven by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from email.utils import formatdate

import httpx
import pytest

from mmml import Busy, MmmlError, Refused, Unreachable
from mmml.errors import error_from_response
from mmml.operations import Operation, RetryPolicy, Sleep, send_with_retries, wait_for_end
from mmml.requests import ApiRequest

SUBMIT = ApiRequest("POST", "/synthesize", {"headers": {"Idempotency-Key": "k"}})


def busy(seconds: str | None, status: int = 503) -> httpx.Response:
    headers = {"retry-after": seconds} if seconds else {}
    return httpx.Response(status, headers=headers, json={"detail": "No worker takes jobs."})


def play(
    operation: Operation[object], answers: Sequence[httpx.Response | Exception]
) -> tuple[object, list[float]]:
    """The operation's result and its delays, when the service answers so."""
    left, delays = list(answers), []
    step = next(operation)
    try:
        while True:
            if isinstance(step, Sleep):
                delays.append(step.seconds)
                step = operation.send(None)
            elif isinstance(answer := left.pop(0), Exception):
                step = operation.throw(answer)
            else:
                step = operation.send(answer)
    except StopIteration as end:
        assert not left
        return end.value, delays


def test_retry_after_is_obeyed() -> None:
    ok = httpx.Response(202, json={})
    answers = [busy("2"), busy("7", 429), busy(None), ok]
    assert play(send_with_retries(SUBMIT, RetryPolicy(30)), answers) == (ok, [2.0, 7.0, 0.5])


def test_a_long_retry_after_is_raised_at_once() -> None:
    with pytest.raises(Busy, match="No worker") as caught:
        play(send_with_retries(SUBMIT, RetryPolicy(30)), [busy("3600", 429)])
    assert caught.value.retry_after == 3600


def test_only_a_lost_answer_is_asked_for_again() -> None:
    lost, gone = Unreachable("reset", answer_lost=True), Unreachable("refused")
    ok = httpx.Response(202, json={})
    assert play(send_with_retries(SUBMIT, RetryPolicy(30)), [lost, lost, ok])[0] is ok
    for answers in ([gone], [lost, lost, lost]):
        with pytest.raises(Unreachable):
            play(send_with_retries(SUBMIT, RetryPolicy(30)), answers)


def test_what_is_not_harmless_is_sent_once() -> None:
    with pytest.raises(Unreachable):
        play(
            send_with_retries(ApiRequest("DELETE", "/jobs/1"), RetryPolicy(30)),
            [Unreachable("r", True)],
        )


def test_waiting_outlasts_a_restart() -> None:
    job = {"id": "1", "status": "succeeded"}
    answers = [
        Unreachable("refused"),
        Unreachable("refused"),
        busy("3"),
        httpx.Response(200, json=job),
    ]
    assert play(wait_for_end("1", 300, 30, None), answers) == (job, [0.5, 0.5, 3.0])


def test_waiting_ends_when_the_service_stays_away() -> None:
    with pytest.raises(Unreachable):
        play(wait_for_end("1", 300, 0.0, None), [Unreachable("refused")])


def test_over_a_limit_lasts_until_the_deadline() -> None:
    limit = error_from_response(busy("100", 429))
    assert RetryPolicy(30, time.monotonic() + 300).delay_after(limit) == 100
    for policy in (RetryPolicy(30, time.monotonic() + 50), RetryPolicy(30, math.inf)):
        with pytest.raises(Busy):
            policy.delay_after(limit)


def test_what_does_not_pass_is_raised() -> None:
    with pytest.raises(Refused):
        RetryPolicy(30).delay_after(error_from_response(httpx.Response(500, text="<html>")))
    with pytest.raises(MmmlError, match="answered 500 Internal Server Error"):
        RetryPolicy(30).delay_after(error_from_response(httpx.Response(500, text="<html>")))


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("²", None), ("", None)],
)
def test_retry_after_in_every_form(given: str, seconds: float | None) -> None:
    answer = httpx.Response(503, headers=[(b"retry-after", given.encode())], json={})
    assert error_from_response(answer).retry_after == seconds


def test_retry_after_as_a_date() -> None:
    date = formatdate(time.time() + 20, usegmt=True)
    after = error_from_response(busy(date)).retry_after
    assert after is not None
    assert 18 < after <= 20
