"""The two loops, on jobs that are no requests."""

from __future__ import annotations

import asyncio
import itertools
import math
import time

from benchmarks.load.exchanges import Refused
from benchmarks.load.loops import arrivals, closed, open_
from benchmarks.load.report import percentile, report


def test_a_closed_loop_has_so_many_jobs_at_a_time() -> None:
    running, most, numbers = 0, 0, []

    async def job(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        numbers.append(number)
        await asyncio.sleep(0.005)
        running -= 1

    found = asyncio.run(closed(job, clients=3, seconds=0.3, warm=0.1))
    assert most == 3
    assert numbers == list(range(len(numbers)))
    assert 0 < found.answers < found.total == len(numbers)
    assert found.rate == found.answers / 0.3
    assert found.p50 >= 5


def test_an_open_loop_counts_from_when_a_job_was_due() -> None:
    """A server that answers nobody for a while can't hide it by delaying the next requests."""
    asked = itertools.count()

    async def job(_: int) -> None:
        if next(asked) == 0:
            time.sleep(0.3)  # the whole generator stands still

    found = asyncio.run(open_(job, offered=200, seconds=0.5, warm=0))
    assert found.failures == 0
    assert found.p95 > 100


def test_failures_are_slower_than_any_answer() -> None:
    async def job(number: int) -> None:
        if number % 2:
            raise Refused("503: busy")

    found = asyncio.run(open_(job, offered=300, seconds=0.3, warm=0))
    assert found.failures > 0
    assert "503" in found.reason
    assert found.p99 == math.inf


def test_arrivals_are_as_many_as_offered_and_the_same_each_time() -> None:
    moments = list(arrivals(100, 50, seed=1))
    assert 4700 < len(moments) < 5300
    assert moments == sorted(moments) == list(arrivals(100, 50, seed=1))
    assert moments[-1] < 50


def test_percentiles() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.95) == 4.0
    assert percentile([], 0.5) == math.inf
    found = report(2.0, [0.003, 0.001], ["gone"], 0.5, 3)
    assert (found.rate, found.p50, found.p99, found.reason) == (1.0, 3.0, math.inf, "gone")
