"""Numbers with their sample counts and 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 1000
_GROUPS = 10
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A metric's value, the ends of its 95 % interval (None where there is none), its sample
    count, and by what the interval was made; small: of so few samples that the report marks it.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    by: str
    small: bool = False

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.value))


@dataclass(frozen=True)
class Scores:
    """One metric per sample: values float64 [N] and weights [N] (weight 0: does not count)."""

    values: Floats
    weights: Floats

    @classmethod
    def of(cls, values: Sequence[float] | Floats) -> Scores:
        array = np.asarray(values, np.float64)
        return cls(array, np.ones_like(array))

    @classmethod
    def rates(cls, hits: Floats, totals: Floats) -> Scores:
        """Shares hits/totals, weighted by totals: the pooled rate is their weighted mean."""
        safe = np.maximum(totals, 1)
        return cls(np.asarray(hits / safe, np.float64), np.asarray(totals, np.float64))

    @property
    def mean(self) -> float:
        """The weighted mean; NaN when nothing counts."""
        total = self.weights.sum()
        return float((self.values * self.weights).sum() / total) if total else float("nan")


def bootstrap(scores: Scores, seed: int = 0) -> Estimate:
    """The weighted mean with a percentile bootstrap over samples (Efron 1979), 1000 resamples."""
    counts = scores.weights > 0
    values, weights = scores.values[counts], scores.weights[counts]
    n = len(values)
    if n == 0:
        return Estimate(float("nan"), None, None, 0, "none")
    low, high = _percentiles(values * weights, weights, np.random.default_rng(seed))
    return Estimate(scores.mean, low, high, n, "bootstrap over samples")


def jackknife(n: int, statistic: Callable[[NDArray[np.int64]], float], value: float) -> Estimate:
    """A statistic of a whole set: leave out each tenth once (Shao and Wu 1989, delete-d).

    statistic: from the indices that stay; value: from all of them. Resampling with replacement
    would bias distances between sets: repeated pictures look like less variety.
    """
    if n < 2 * _GROUPS:
        return Estimate(value, None, None, n, "none")
    group = np.arange(n) % _GROUPS
    left = np.array([statistic(np.flatnonzero(group != g)) for g in range(_GROUPS)])
    error = float(np.sqrt((_GROUPS - 1) / _GROUPS * ((left - left.mean()) ** 2).sum()))
    half = _NORMAL_95 * error
    return Estimate(value, value - half, value + half, n, "delete-a-tenth jackknife")


def ratio_of_means(a: Floats, b: Floats) -> Estimate:
    """The mean of ``a`` [N] over the mean of ``b`` [M]; NaN when ``b`` has none. Only ``a`` is
    resampled: ``b`` is what reality is taken to be. Of paired values [N] both are.
    """
    real = float(b.mean()) if len(b) else 0.0
    if not len(a) or real <= 0:
        return Estimate(float("nan"), None, None, 0, "none")
    if len(a) != len(b):
        return jackknife(len(a), lambda k: float(a[k].mean()) / real, float(a.mean()) / real)
    return jackknife(len(a), lambda k: float(a[k].mean() / b[k].mean()), float(a.mean()) / real)


def _percentiles(sums: Floats, weights: Floats, rng: np.random.Generator) -> tuple[float, float]:
    n = len(sums)
    drawn = rng.integers(0, n, (RESAMPLES, n))
    means = sums[drawn].sum(1) / weights[drawn].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
