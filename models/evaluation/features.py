"""Feature networks for IS, FID, KID and diversity; every number carries its network's name.

EfficientNet-Lite2 with ImageNet weights is what the package offers; nothing trains on it. The
official Inception weights are used when the user gives their file (see :mod:`.inception`).
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from models.damsm.efficientnet import EfficientNetLite2, imagenet_path
from models.evaluation.estimates import Estimate, jackknife
from models.evaluation.pictures import chunks, resized, stack

_SPLITS = 10  # of the Inception score, as everyone uses


@dataclass(frozen=True)
class Features:
    """What a feature network says of N pictures: pooled float32 [N,D], logits float32 [N,K]."""

    pooled: Tensor
    logits: Tensor


class FeatureNetwork(Protocol):
    """name: in metric names; sha256: of the weights file; side: pixels at which it looks."""

    name: str
    sha256: str
    side: int

    def features(self, images: Tensor) -> Features:
        """Pictures float32 [N,3,S,S] in [-1,1], any S."""
        ...


def features_of(network: FeatureNetwork, pictures: Sequence[Image.Image]) -> Features:
    """Features of pictures of one size, a chunk at a time."""
    found = [network.features(stack(pictures[part])) for part in chunks(len(pictures))]
    return Features(torch.cat([f.pooled for f in found]), torch.cat([f.logits for f in found]))


class Lite2Classifier(EfficientNetLite2):
    """The whole of EfficientNet-Lite2: trunk, head and ImageNet classifier."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_head = nn.Conv2d(self.widths[-1], 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3, momentum=0.01)
        self._fc = nn.Linear(1280, 1000)

    def classify(self, images: Tensor) -> Features:
        """Images [B,3,H,W] in [-1,1] → pooled [B,1280] and logits [B,1000]."""
        last = len(self._blocks) - 1
        x = self.forward(images, (last,))[last]
        pooled = functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return Features(pooled, self._fc(pooled))


class Lite2Features:
    """See :class:`FeatureNetwork`. Pictures are looked at with 128 pixels (native: 260), which is
    enough for small ones and four times faster.
    """

    name = "efficientnet-lite2"

    def __init__(self, side: int = 128) -> None:
        path = Path(imagenet_path(2))
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.side = side
        self.network = Lite2Classifier()
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def features(self, images: Tensor, batch: int = 32) -> Features:
        """See :meth:`FeatureNetwork.features`."""
        found = [self.network.classify(resized(x, self.side)) for x in images.split(batch)]
        return Features(torch.cat([f.pooled for f in found]), torch.cat([f.logits for f in found]))


class _AsTheyAre(nn.Module):
    """Hands features on, so that torchmetrics takes them instead of pictures."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


@contextlib.contextmanager
def _no_memory_warning() -> Iterator[None]:
    """torchmetrics warns that it keeps features in memory, where they are anyhow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def fid(made: Tensor, real: Tensor) -> float:
    """Fréchet distance of feature sets [N,D] and [M,D] (Heusel et al. 2017), by torchmetrics."""
    metric = FrechetInceptionDistance(feature=_AsTheyAre(made.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    return float(metric.compute())


def frechet(made: Tensor, real: Tensor) -> float:
    """The same distance through singular values: quick where samples are fewer than features.

    tr √(Σ₁Σ₂) is the sum of the singular values of X₁X₂ᵀ, X being centred and scaled samples.
    """
    a, b = made.double(), real.double()
    x, y = ((t - t.mean(0)) / (len(t) - 1) ** 0.5 for t in (a, b))
    cross = float(torch.linalg.svdvals(x @ y.T).sum())
    means = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return means + float((x**2).sum()) + float((y**2).sum()) - 2 * cross


def kid(made: Tensor, real: Tensor) -> float:
    """Unbiased squared MMD with the cubic kernel (Bińkowski et al. 2018), by torchmetrics, over
    all samples at once (as many of each side).
    """
    size = min(len(made), len(real))
    with _no_memory_warning():
        metric = KernelInceptionDistance(
            feature=_AsTheyAre(made.shape[1]), subsets=1, subset_size=size
        )
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(metric.compute()[0])


def inception_score(logits: Tensor) -> float:
    """exp E KL(p(y|x) ‖ p(y)), mean over ten splits (Salimans et al. 2016), by torchmetrics."""
    splits = min(_SPLITS, len(logits))
    with _no_memory_warning():
        metric = InceptionScore(feature=_AsTheyAre(logits.shape[1]), splits=splits)
    metric.update(logits.double())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(metric.compute()[0])


def set_metrics(made: Features, real: Features | None, network: str) -> dict[str, Estimate]:
    """``is_NETWORK``, and with a reference ``fid_NETWORK`` and ``kid_NETWORK``."""
    n, logits, a = len(made.pooled), made.logits, made.pooled
    found = {
        f"is_{network}": jackknife(n, lambda k: inception_score(logits[k]), inception_score(logits))
    }
    if real is None or min(n, len(real.pooled)) < 2:
        return found
    b = real.pooled
    found[f"fid_{network}"] = jackknife(n, lambda k: frechet(a[k], b), fid(a, b))
    found[f"kid_{network}"] = jackknife(n, lambda k: kid(a[k], b), kid(a, b))
    return found


def spread(features: Tensor) -> float:
    """Mean Euclidean distance of all pairs of [N,D]."""
    return float(torch.pdist(features.double()).mean()) if len(features) > 1 else float("nan")


def diversity(made: list[Tensor], real: list[Tensor]) -> Estimate:
    """Spread of each group [16,D] of pictures of one caption, over the spread of real pictures of
    that caption: the ratio of the means over captions. About 1 is as varied as reality.
    """
    a, b = (np.array([spread(g) for g in groups]) for groups in (made, real))
    keep = np.isfinite(a) & (b > 0)
    a, b = a[keep], b[keep]
    if not len(a):
        return Estimate(float("nan"), None, None, 0, "none")
    return jackknife(len(a), lambda k: float(a[k].mean() / b[k].mean()), float(a.mean() / b.mean()))
