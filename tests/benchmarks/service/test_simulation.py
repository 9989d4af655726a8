"""The arithmetic that a simulation is held against."""

from __future__ import annotations

import pytest

from benchmarks.peers.pipelines import SUBJECTS
from benchmarks.service.operations import Costs
from benchmarks.service.simulation import arithmetic_rate, comparison, deviation


def test_networks_bound_the_rate() -> None:
    assert arithmetic_rate(SUBJECTS["sleep80"], 8) == pytest.approx(100)
    assert arithmetic_rate(SUBJECTS["hard"], 2) == pytest.approx(2000)  # 16 in 16 ms


def test_costs_are_those_of_few_jobs_times_the_rate() -> None:
    few = Costs(5, 71, received=3000, sent=2000, kept=2000, milliseconds={"gateway": 2.0})
    many = Costs(5, 71, received=3000, sent=2000, kept=2200, milliseconds={"gateway": 1.0})
    found = comparison(100, few, 6000, 80, many)
    assert found == {
        "jobs/s": (100, 80),
        "minutes": (1, 1.25),
        "Redis memory kept, MB": pytest.approx((12, 13.2)),
        "to and from Redis, kB/s": (500, 400),
        "gateway, share of a core": pytest.approx((0.2, 0.08)),
    }
    assert deviation(found["jobs/s"]) == pytest.approx(-0.2)
