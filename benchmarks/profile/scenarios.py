"""Loads that show what the service costs, and what one of them came to."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.profile.clients import Load, closed_loop, quantile
from benchmarks.profile.service import BATCH, Service

PROCESSES = ("gateway", "worker", "valkey", "steward")


@dataclass(frozen=True)
class Scenario:
    """``base`` and ``each``: milliseconds of a batch, and of each picture in it."""

    name: str
    clients: int
    base: float
    each: float
    wait: bool = True

    @property
    def limit(self) -> float:
        """Jobs per second that the model alone allows."""
        return BATCH / (self.base + BATCH * self.each) * 1000 if self.wait else float("inf")


SCENARIOS = (
    Scenario("hard: 32 clients, 8 ms + 0.5 ms a picture", 32, 8, 0.5),
    Scenario("saturation: 32 clients, 10 ms a picture", 32, 0, 10),
    Scenario("one client, 5 ms", 1, 5, 0),
    Scenario("submit only, 8 clients", 8, 0, 0, wait=False),
)


@dataclass(frozen=True)
class Result:
    """``costs``: microseconds of processor time for each job, by process; other times in
    milliseconds. ``load``: of the machine, in processes that want to run.
    """

    jobs: int
    rate: float
    latency: float
    p99: float
    overhead: float
    wake: float
    costs: dict[str, float]
    load: float

    @property
    def cost(self) -> float:
        """Microseconds of all processes together."""
        return sum(self.costs.values())


def measured(service: Service, scenario: Scenario, seconds: float) -> Result:
    """One run, after a short one that warms everything up."""
    _ran(service, scenario, seconds / 4)
    before = service.seconds()
    load = _ran(service, scenario, seconds)
    after = service.seconds()
    count = len(load.latencies)
    return Result(
        jobs=count,
        rate=load.rate,
        latency=median(load.latencies),
        p99=quantile(load.latencies, 0.99),
        overhead=median(load.overheads or [0.0]),
        wake=median(load.wakes or [0.0]),
        costs={name: (after[name] - before[name]) / count * 1e6 for name in PROCESSES},
        load=os.getloadavg()[0],
    )


def _ran(service: Service, scenario: Scenario, seconds: float) -> Load:
    path = "/synthesize?wait=30" if scenario.wait else "/synthesize"
    text = f"a bird {scenario.base:g} {scenario.each:g}"
    load = asyncio.run(closed_loop(service.port, scenario.clients, seconds, path, text))
    time.sleep(0.2)
    return load


def middle(results: Sequence[Result]) -> Result:
    """The run whose cost is the median."""
    return sorted(results, key=lambda result: result.cost)[len(results) // 2]
