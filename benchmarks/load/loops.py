"""The two ways to put load on a server."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.load.exchanges import Refused
from benchmarks.load.report import Report, report

_TIMEOUT = 10.0  # seconds for the last answers
Job = Callable[[int], Awaitable[object]]


@dataclass
class Record:
    """Answers between ``begin`` and ``end`` on the monotonic clock."""

    begin: float
    end: float
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    total: int = 0

    async def one(self, job: Job, number: int, due: float, counted: bool = False) -> None:
        """Do a job that was due at ``due``. ``counted``: it counts by when it was due."""
        try:
            await job(number)
        except (Refused, OSError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        now = time.monotonic()
        self.total += 1
        if self.begin <= (due if counted else now) < self.end:
            self.latencies.append(now - due)


async def closed(job: Job, clients: int, seconds: float, warm: float) -> Report:
    """``clients`` that ask, wait for the answer and ask again. What is answered in the first
    ``warm`` seconds is not counted.
    """
    began = time.monotonic()
    record = Record(began + warm, began + warm + seconds)
    numbers = itertools.count()

    async def client() -> None:
        while (now := time.monotonic()) < record.end:
            await record.one(job, next(numbers), now)

    cpu = time.process_time()
    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    await asyncio.sleep(warm + seconds)
    cpu = time.process_time() - cpu
    await _ended(tasks)
    return report(seconds, record.latencies, record.failures, cpu / (warm + seconds), record.total)


async def open_(job: Job, offered: float, seconds: float, warm: float, seed: int = 1) -> Report:
    """``offered`` jobs per second at random moments (a Poisson process), however the server does.
    A job's time runs from when it was due, so a server that falls behind can't hide it. Jobs
    without an answer 10 s after the end are failures.
    """
    began = time.monotonic()
    record = Record(began + warm, began + warm + seconds)
    cpu = time.process_time()
    tasks = []
    for number, due in enumerate(arrivals(offered, warm + seconds, seed)):
        await asyncio.sleep(max(began + due - time.monotonic(), 0))
        tasks.append(asyncio.create_task(record.one(job, number, began + due, counted=True)))
    cpu = time.process_time() - cpu
    unanswered = await _ended(tasks)
    record.failures += ["no answer"] * unanswered
    return report(seconds, record.latencies, record.failures, cpu / (warm + seconds), record.total)


def arrivals(offered: float, seconds: float, seed: int) -> Iterator[float]:
    """Moments within ``seconds`` at which jobs arrive."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    moment = chance.expovariate(offered)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(offered)


async def _ended(tasks: list[asyncio.Task[None]]) -> int:
    """Give running jobs time to end; returns how many did not."""
    if not tasks:
        return 0
    done, late = await asyncio.wait(tasks, timeout=_TIMEOUT)
    for task in late:
        task.cancel()
    for task in done:
        task.result()
    return len(late)
