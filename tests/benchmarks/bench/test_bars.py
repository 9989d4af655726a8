"""Rows of the table, from what was measured."""

from __future__ import annotations

import math

from benchmarks.bench.bars import BARS, Bar, lookup, rows, verdict
from benchmarks.bench.bundles import served
from benchmarks.bench.contest import ratios
from benchmarks.load import Report
from jobs.requests import TASKS


def report(rate: float, p95: float) -> Report:
    return Report(rate, p95, p95, p95, 10, 0)


def test_a_bound_from_below_and_one_from_above() -> None:
    parts = {"x": {"rate": 0.97, "p95": 1.2}}
    low, high = Bar("rate", "x.rate", 0.97), Bar("p95", "x.p95", 1.1, most=True, unit=" ms")
    assert rows(parts, [low, high]) == [
        {"name": "rate", "value": 0.97, "bar": "≥ 0.97", "ok": True},
        {"name": "p95", "value": 1.2, "bar": "≤ 1.1 ms", "ok": False},
    ]


def test_what_was_not_measured_does_not_hold() -> None:
    found = rows({}, BARS)
    assert len(found) == len({row["name"] for row in found}) == len(BARS)
    assert all(row["value"] is None and not row["ok"] for row in found)
    assert lookup({"x": {"p95": math.inf}}, "x.p95") is None
    assert lookup({"x": 3}, "x.p95") is None


def test_every_bar_reads_what_its_part_writes() -> None:
    contest = {
        "closed": {"service": {"rate": 1e6}},
        "ratios": ratios([{n: report(1, 1) for n in ("service", "raw", "litserve", "flask")}]),
    }
    latency = {
        "idle": {"p50": 0.0},
        "woken": {"p95": 0.0},
        "submit_rate": 1e6,
        "submit_p99": 0.0,
    }
    pictures = {f"{bundle} {task}": {"p95": 0.0} for bundle, task in served()}
    others = {
        "workers": {"speedup": 4.0},
        "claims": {"many": {"16": {"redis": {"p99": 0.0}}}},
        "bundles": {"times": pictures},
    }
    parts = dict.fromkeys(("sleep10", "demo", "net256", "hard"), contest)
    found = rows({**parts, "latency": latency, **others})
    assert [row["name"] for row in found if row["value"] is None] == []


def test_every_shipped_bundle_has_its_bars() -> None:
    assert {bundle for bundle, _ in served()} >= {"aviary", "cub", "flowers"}
    assert {task for bundle, task in served() if bundle == "cub"} == set(TASKS)
    assert ("flowers", "inpaint") not in served()


def test_ratios_are_taken_within_a_round() -> None:
    slow = {"service": report(50, 20), "raw": report(100, 10), "litserve": report(100, 10)}
    fast = {"service": report(600, 2), "raw": report(1000, 1), "litserve": report(1000, 1)}
    usual = {"service": report(480, 4), "raw": report(800, 2), "litserve": report(800, 4)}
    found = ratios([slow, fast, usual])
    assert found == {"rate/raw": 0.6, "rate/litserve": 0.6, "p95/litserve": 2.0}


def test_the_last_line_counts() -> None:
    assert verdict([{"ok": True}, {"ok": False}]) == "bench: 1/2 bars hold"
