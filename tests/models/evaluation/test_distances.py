"""Distances between sets of features."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from models.evaluation import distances
from models.evaluation.features import Features


def clouds(shift: float = 0.0) -> Tensor:
    return torch.randn(60, 8, generator=torch.Generator().manual_seed(3)) + shift


def kid(made: Tensor, real: Tensor) -> float:
    return distances.Kernels(made, real).distance(np.arange(len(made)))


def test_frechet_distance_of_a_shift_is_its_square() -> None:
    assert distances.frechet(clouds(0.5), clouds()) == pytest.approx(8 * 0.25, abs=1e-3)


def test_kid_is_about_zero_for_one_distribution_and_positive_for_two() -> None:
    assert abs(kid(clouds()[:30], clouds()[30:])) < 0.3
    assert kid(clouds(1.0), clouds()) > 1


class AsTheyAre(nn.Module):
    num_features = 8

    def forward(self, features: Tensor) -> Tensor:
        return features


def test_frechet_distance_is_that_of_torchmetrics() -> None:
    made, real = clouds()[:30] * 1.5 + 0.3, clouds()[30:]
    metric = FrechetInceptionDistance(feature=AsTheyAre())
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    assert distances.frechet(made, real) == pytest.approx(float(metric.compute()), rel=1e-6)


def test_kernel_distance_of_one_subset_is_that_of_torchmetrics() -> None:
    made, real = clouds(0.3)[:30], clouds()[30:]
    with pytest.warns(UserWarning, match="memory"):
        metric = KernelInceptionDistance(feature=AsTheyAre(), subsets=1, subset_size=30)
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    assert kid(made, real) == pytest.approx(float(metric.compute()[0]), rel=1e-6)


def test_kernel_distance_in_subsets_has_no_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over subsets is near that of all at once, and uses every picture."""
    source = torch.Generator().manual_seed(1)
    made, real = torch.randn(400, 8, generator=source) + 0.3, torch.randn(500, 8, generator=source)
    whole = kid(made, real)
    monkeypatch.setattr(distances, "SUBSET", 100)
    assert kid(made, real) == pytest.approx(whole, rel=0.15)
    further = made.clone()
    further[399] += 5
    assert kid(further, real) > kid(made, real)


def test_interval_leaves_pictures_out_without_new_products() -> None:
    made, real = clouds(0.3)[:40], clouds()
    kernels = distances.Kernels(made, real)
    kept = np.flatnonzero(np.arange(40) % 10 != 3)
    assert kernels.distance(kept) == pytest.approx(kid(made[kept], real))


def test_distances_of_few_pictures_are_marked() -> None:
    few = Features(clouds(), clouds())
    found = distances.set_metrics(few, clouds(0.1), "n")
    assert found["fid_n"].small
    assert not found["kid_n"].small


def test_inception_score_of_certain_and_varied_answers() -> None:
    certain = torch.eye(5).repeat(400, 1) * 50
    assert distances.inception_score(certain) == pytest.approx(5, abs=0.3)
    assert distances.inception_score(torch.zeros(50, 5)) == pytest.approx(1)


def test_every_set_metric_carries_its_network() -> None:
    seen = Features(clouds(), clouds())
    found = distances.set_metrics(seen, clouds(0.1), "some-network")
    assert list(found) == ["kid_some-network", "fid_some-network", "is_some-network"]
    assert all(e.low is not None for e in found.values())


def test_diversity_is_relative_to_reality() -> None:
    groups = [clouds()[:16], clouds()[16:32]]
    assert distances.diversity([g * 0.5 for g in groups], groups).value == pytest.approx(0.5)


def test_the_inception_score_does_not_depend_on_an_order_by_class() -> None:
    logits = 3 * torch.randn(103, 7, generator=torch.Generator().manual_seed(2))
    sorted_by_class = logits[logits.argmax(1).argsort()]
    assert distances.inception_score(sorted_by_class) == pytest.approx(
        _score(sorted_by_class.double().numpy()), rel=1e-12
    )
    in_order = np.mean([_kl(p) for p in np.array_split(sorted_by_class.double().numpy(), 10)])
    assert distances.inception_score(sorted_by_class) > in_order + 0.5


def _score(logits: np.ndarray) -> float:
    """As torch-fidelity: shuffled, ten splits that end at k·N/10."""
    shuffled = logits[np.random.RandomState(2020).permutation(len(logits))]
    ends = [k * len(logits) // 10 for k in range(11)]
    return float(np.mean([_kl(shuffled[a:b]) for a, b in pairwise(ends)]))


def _kl(logits: np.ndarray) -> float:
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return float(np.exp((shares * np.log(shares / shares.mean(0))).sum(1).mean()))
