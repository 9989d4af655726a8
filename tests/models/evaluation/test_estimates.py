"""Intervals cover what they should, and say how they were made."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.estimates import Scores, bootstrap, jackknife


def test_bootstrap_interval_is_that_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)
    found = bootstrap(Scores.of(values))
    assert found.n == 400
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_bootstrap_of_nothing_is_not_a_number() -> None:
    found = bootstrap(Scores(np.ones(3), np.zeros(3)))
    assert (found.n, found.finite) == (0, False)


def test_bootstrap_repeats_itself() -> None:
    scores = Scores.of([0.0, 1.0, 1.0, 0.5])
    assert bootstrap(scores) == bootstrap(scores)


def test_jackknife_of_a_mean_has_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(0, 1, 1000)
    found = jackknife(1000, lambda k: float(values[k].mean()), float(values.mean()))
    assert found.low is not None
    assert found.high is not None
    # ten groups only, so the width itself varies by about a quarter
    assert found.high - found.low == pytest.approx(2 * 1.96 / 1000**0.5, rel=0.6)
    assert found.low < values.mean() < found.high


def test_jackknife_of_few_samples_gives_no_interval() -> None:
    assert jackknife(5, lambda k: float(len(k)), 1.0).low is None
