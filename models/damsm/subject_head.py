"""How much of its subject, a bird for instance, a picture shows: a linear layer on what the frozen
trunk of a bundle's image encoder sees.

The layer repeats the opinion of the whole ImageNet classifier that the trunk is the beginning of
(EfficientNet-Lite0), whose other layers a bundle would have to hold for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.damsm.efficientnet import EfficientNetLite

ROLE = "subject_head"  # of the part "damsm"
# Indices of ImageNet's 1,000 classes.
CLASSES: dict[str, tuple[int, ...]] = {
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    # Daisy and lady's slipper; rapeseed, hip, cardoon and artichoke; flowerpot and vase.
    "flower": (985, 986, 984, 989, 946, 944, 738, 883),
}
_PENALTY = 3.0  # of the ridge regression, for each picture
_LARGEST = 10.0  # log-odds beyond which the classifier is sure enough


class SubjectHead(nn.Module):
    """Scores in units of the cosine that they are added to; 0 is the average picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(1))

    @classmethod
    def on(cls, trunk: EfficientNetLite, taps: Sequence[int]) -> SubjectHead:
        """One that fits what ``pool`` gives of the trunk's blocks ``taps``."""
        return cls(3 * sum(trunk.widths[t] for t in taps))

    def forward(self, taps: Mapping[int, Tensor]) -> Tensor:
        """Taps [B,C,h,w] by block → scores [B], float32 whatever the precision around it."""
        return (pool(taps) * self.weight.float()).sum(1) + self.bias.float()


def pool(taps: Mapping[int, Tensor]) -> Tensor:
    """Mean, maximum and standard deviation of every channel of the taps: float32 [B,F]."""
    planes = [taps[t].float().flatten(2) for t in sorted(taps)]
    return torch.cat([f for x in planes for f in (x.mean(2), x.amax(2), _deviation(x))], 1)


def _deviation(x: Tensor) -> Tensor:
    """``x.std(2)``, which is slow with channels last in memory."""
    return ((x - x.mean(2, keepdim=True)).square().sum(2) / (x.shape[2] - 1)).sqrt()


def classes_of(domain: str) -> tuple[int, ...]:
    """Those of pictures of ``domain`` ("birds", "flowers"); empty for others."""
    return next((found for name, found in CLASSES.items() if domain == f"{name}s"), ())


@torch.no_grad()
def fit(head: SubjectHead, features: Tensor, mass: Tensor, weight: float) -> None:
    """Ridge regression, in place. features [N,F] as ``pool`` gives them; mass [N]: the
    classifier's probability of the subject; weight: of its log-odds beside a cosine.
    """
    x, wanted = features.double(), log_odds(mass)
    mean, scale = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / scale
    gram = x.T @ x + _PENALTY * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    solved = torch.linalg.solve(gram, x.T @ (wanted - wanted.mean())) / scale * weight
    head.weight.copy_(solved)
    head.bias.copy_(-(mean @ solved))


def log_odds(mass: Tensor) -> Tensor:
    """Of probabilities, float64, cut where the classifier is sure."""
    return mass.double().logit(eps=1e-9).clamp(-_LARGEST, _LARGEST)
