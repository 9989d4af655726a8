"""Many clients for a long time, with nothing going wrong."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos.faults import Family, Fault, Finding
from tests.chaos.ledger import settled
from tests.chaos.stack import Stack, running

_CLIENTS = 32
_FULL = (10_000, 600.0)  # jobs, seconds
_QUICK = (700, 42.0)
_WARM = 160  # jobs before anything is measured
_P99 = 0.1  # seconds for a submission
_GROWTH = 1.05  # last third to first third
_SAMPLE = 0.5  # seconds


def opened(folder: Path, quick: bool) -> AbstractContextManager[Stack]:
    return running(folder, quick, MMML_LEASE_TTL="15")


@dataclass
class Run:
    """``count`` jobs spread over ``seconds``, each client waiting for the end of its job."""

    stack: Stack
    count: int
    seconds: float
    submits: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    memory: dict[str, list[int]] = field(default_factory=dict)

    async def go(self) -> None:
        """Clients start evenly apart, so that the load is even from the beginning."""
        limits = httpx.Limits(max_connections=2 * _CLIENTS)
        url = self.stack.urls[0]
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
            sampler = asyncio.create_task(self._sample())
            await asyncio.gather(*(self._client(http, n) for n in range(_CLIENTS)))
            sampler.cancel()

    async def _client(self, http: httpx.AsyncClient, number: int) -> None:
        began = time.monotonic()
        for turn in range(number, self.count, _CLIENTS):
            due = began + turn * self.seconds / self.count
            await asyncio.sleep(max(due - time.monotonic(), 0))
            try:
                await self._one(http)
            except httpx.TransportError as error:
                self.broken.append(f"a request broke: {error!r}")

    async def _one(self, http: httpx.AsyncClient) -> None:
        started = time.perf_counter()
        answer = await http.post("/synthesize", json={"text": "a bird"})
        self.submits.append(time.perf_counter() - started)
        if answer.status_code != 202:
            self.broken.append(f"a submission was answered {answer.status_code}")
            return
        job = answer.json()["id"]
        self.jobs.append(job)
        done = await http.get(f"/jobs/{job}", params={"wait": 30})
        self.ends.append(time.perf_counter() - started)
        if done.status_code != 200 or done.json()["status"] != "succeeded":
            self.broken.append(f"a job was {done.text[:100]} after 30 s")

    async def _sample(self) -> None:
        stack = self.stack
        while True:
            for process in (*stack.gateways, *stack.workers, *stack.reconcilers):
                self.memory.setdefault(process.name, []).append(process.resident())
            await asyncio.sleep(_SAMPLE)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else math.inf


def growth(samples: Sequence[float]) -> float:
    """Mean of the last third over the mean of the first."""
    third = max(len(samples) // 3, 1)
    return statistics.fmean(samples[-third:]) / statistics.fmean(samples[:third])


def ten_minutes(stack: Stack) -> Finding:
    count, seconds = _QUICK if stack.quick else _FULL
    stack.all_ready()
    asyncio.run(Run(stack, _WARM, _WARM / count * seconds).go())
    began = time.time()
    run = Run(stack, count, seconds)
    asyncio.run(run.go())
    found = settled(stack, run.jobs, time.time(), 30, created_since=began)
    p50, p99 = percentile(run.submits, 0.5), percentile(run.submits, 0.99)
    grown = {name: growth(samples) for name, samples in run.memory.items()}
    broken = list(dict.fromkeys(run.broken))
    if p99 > _P99:
        broken.append(f"p99 of a submission is {p99 * 1000:.0f} ms")
    broken += [f"{n} grew by a factor of {g:.3f}" for n, g in grown.items() if g > _GROWTH]
    last = {name: samples[-1] / 2**20 for name, samples in run.memory.items()}
    notes = [
        f"{len(run.jobs)} jobs in {time.time() - began:.0f} s",
        f"submission p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms",
        "memory " + ", ".join(f"{n} {last[n]:.0f} MB ×{grown[n]:.3f}" for n in grown),
    ]
    longest = max(run.ends, default=0.0)
    return Finding(found.lost, found.duplicated, longest, found.broken).but(*broken, notes=notes)


FAMILY = Family(
    "steady load",
    opened,
    [
        Fault(
            "10,000 jobs, 32 clients, 10 minutes (null model)",
            "0 lost; p99 submit ≤ 100 ms; memory flat (last third ≤ 1.05 × first third)",
            ten_minutes,
        )
    ],
    alone=True,
)
