"""The comparison with stored ratios: it can fail, and says of what."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bench.regressions import Baseline, best, guarded_ratios, regressions

STORED = {"a": 1.0, "b": 0.5}


def test_equal_and_better_ratios_hold() -> None:
    assert regressions(STORED, {"a": 1.0, "b": 0.9, "new": 0.1}) == []


def test_a_fifth_less_holds_and_more_does_not() -> None:
    assert regressions(STORED, {"a": 0.81, "b": 0.5}) == []
    assert regressions(STORED, {"a": 0.79, "b": 0.5}) == ["a: 0.790, stored 1.000 (-21%)"]


@pytest.mark.parametrize("now", [{"a": 1.0}, {"a": 1.0, "b": float("nan")}])
def test_what_was_not_measured_does_not_hold(now: dict[str, float]) -> None:
    assert [text.partition(":")[0] for text in regressions(STORED, now)] == ["b"]


def test_what_regressed_once_may_be_noise() -> None:
    again = best({"a": 0.5, "b": 0.6}, {"a": 0.95})
    assert again == {"a": 0.95, "b": 0.6}
    assert regressions(STORED, again) == []
    assert regressions(STORED, best({"a": 0.5, "b": 0.6}, {"a": 0.6})) != []


def test_ratios_are_more_when_the_service_is_better() -> None:
    part = {
        "ratios": {"rate/raw": 0.9, "rate/litserve": 1.1, "p95/litserve": 0.5},
        "costs": {"service": {"gateway": 1000.0, "worker": 500.0}, "echo": {"fastapi": 250.0}},
    }
    assert guarded_ratios({"hard": part}) == {
        "hard: jobs/s, of the raw loop": 0.9,
        "hard: jobs/s, of LitServe": 1.1,
        "hard: LitServe's p95, of the service's": 2.0,
        "hard: an echo's CPU, of the gateway's": 0.25,
        "hard: an echo's CPU, of the worker's": 0.5,
    }


def test_a_peer_that_answered_nobody_is_no_success() -> None:
    silent = {"ratios": {"rate/raw": 0.9, "rate/litserve": 1e9, "p95/litserve": 0.0}}
    assert guarded_ratios({"demo": silent})["demo: LitServe's p95, of the service's"] == 0.0


def test_a_baseline_is_kept(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path / "results" / "b.json")
    with pytest.raises(FileNotFoundError, match="--store"):
        baseline.ratios()
    baseline.store({"a": 0.123456}, {"processor": "x"})
    assert baseline.ratios() == {"a": 0.1235}
