"""Distances between sets of pictures, on features: KID, FID, the Inception score, diversity.

FID is biased by the number of pictures, the more the fewer there are; KID is not, so it leads.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.evaluation.estimates import Estimate, jackknife, ratio_of_means
from models.evaluation.features import Features

SUBSET = 1000  # pictures of each side in one kernel distance
FEWEST = 2048  # pictures of which FID's covariances have full rank
_SPLITS = 10  # of the Inception score, as everyone uses
_SHUFFLE = 2020  # torch-fidelity's seed


def frechet(made: Tensor, real: Tensor) -> float:
    """Fréchet distance of feature sets [N,D] and [M,D] (Heusel et al. 2017), through singular
    values: quick where samples are fewer than features.

    tr √(Σ₁Σ₂) is the sum of the singular values of X₁X₂ᵀ, X being centred and scaled samples.
    """
    a, b = made.double(), real.double()
    x, y = ((t - t.mean(0)) / (len(t) - 1) ** 0.5 for t in (a, b))
    cross = float(torch.linalg.svdvals(x @ y.T).sum())
    means = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return means + float((x**2).sum()) + float((y**2).sum()) - 2 * cross


class Kernels:
    """The kernel distance of feature sets [N,D] and [M,D]: the unbiased squared MMD with the cubic
    kernel (Bińkowski et al. 2018), the mean over subsets of at most 1,000 of each side. What it
    adds up is kept, so that leaving pictures out costs no new products.
    """

    def __init__(self, made: Tensor, real: Tensor) -> None:
        a, b = made.double(), real.double()
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(b)))
        self.subsets = [p for p in b[order].split(SUBSET) if len(p) > 1]
        self.real = float(np.mean([_mean_of_pairs(_kernel(p, p)) for p in self.subsets]))
        self.made = [_kernel(p, p).numpy() for p in a.split(SUBSET)]
        # of each made picture: its mean over the real ones of all subsets
        self.across = np.mean([_kernel(a, p).mean(1).numpy() for p in self.subsets], axis=0)

    def distance(self, kept: NDArray[np.int64]) -> float:
        """From the made pictures ``kept``."""
        pairs = []
        for k, block in enumerate(self.made):
            own = kept[(kept >= k * SUBSET) & (kept < (k + 1) * SUBSET)] - k * SUBSET
            if len(own) > 1:
                pairs.append(_mean_of_pairs(torch.from_numpy(block[np.ix_(own, own)])))
        return float(np.mean(pairs)) + self.real - 2 * float(self.across[kept].mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_of_pairs(kernel: Tensor) -> float:
    """The mean over all pairs of different pictures of [N,N]."""
    n = len(kernel)
    return float((kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1)))


def inception_score(logits: Tensor) -> float:
    """exp E KL(p(y|x) ‖ p(y)), the mean over ten splits of shuffled pictures (Salimans et al.
    2016): order and bounds of the splits are torch-fidelity's, so that numbers agree.
    """
    count = len(logits)
    order = np.random.RandomState(_SHUFFLE).permutation(count)
    logs = logits.double()[torch.from_numpy(order)].log_softmax(1)
    splits = min(_SPLITS, count)
    ends = [k * count // splits for k in range(splits + 1)]
    return float(np.mean([_split_score(logs[a:b]) for a, b in pairwise(ends)]))


def _split_score(logs: Tensor) -> float:
    """Of one split's log p(y|x) [N,K]."""
    shares = logs.exp()
    return float((shares * (logs - shares.mean(0).log())).sum(1).mean().exp())


def set_metrics(made: Features, real: Tensor | None, network: str) -> dict[str, Estimate]:
    """With a reference [M,D] of pooled features ``kid_NETWORK``, which leads, and ``fid_NETWORK``,
    marked ``small`` below 2,048 pictures on either side; then ``is_NETWORK``.
    """
    n, logits, a = len(made.pooled), made.logits, made.pooled
    found = {}
    if real is not None and min(n, len(real)) > 1:
        kernels = Kernels(a, real)
        found[f"kid_{network}"] = jackknife(n, kernels.distance, kernels.distance(np.arange(n)))
        distance = jackknife(n, lambda k: frechet(a[k], real), frechet(a, real))
        found[f"fid_{network}"] = replace(distance, small=min(n, len(real)) < FEWEST)
    score = jackknife(n, lambda k: inception_score(logits[k]), inception_score(logits))
    return found | {f"is_{network}": score}


def spread(features: Tensor) -> float:
    """Mean Euclidean distance of all pairs of [N,D]."""
    return float(torch.pdist(features.double()).mean()) if len(features) > 1 else float("nan")


def diversity(made: list[Tensor], real: list[Tensor]) -> Estimate:
    """Spread of each group [16,D] of pictures of one caption, over the spread of real pictures of
    that caption: the ratio of the means over captions. About 1 is as varied as reality.
    """
    a, b = (np.array([spread(g) for g in groups]) for groups in (made, real))
    keep = np.isfinite(a) & (b > 0)
    return ratio_of_means(a[keep], b[keep])
