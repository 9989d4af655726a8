"""How high people would rate a picture, for instance by how whole the bird in it is: a linear layer
on what the frozen trunk of a bundle's image encoder sees where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLite

ROLE = "rating_head"  # of the part "damsm"
_GRID = 3  # cells of a side: a head or a petal is missing somewhere, not on average
_PENALTY = 2.0  # of the ridge regression, for each feature


class RatingHead(nn.Module):
    """Scores in units of the cosine that they are added to; 0 is the average rated picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(1))

    @classmethod
    def on(cls, trunk: EfficientNetLite, taps: Sequence[int]) -> RatingHead:
        """One that fits what ``pool`` gives of the trunk's blocks ``taps``."""
        return cls(_GRID**2 * trunk.widths[max(taps)])

    def forward(self, taps: Mapping[int, Tensor]) -> Tensor:
        """Taps [B,C,h,w] by block → scores [B], float32 whatever the precision around it."""
        return (pool(taps) * self.weight.float()).sum(1) + self.bias.float()


def pool(taps: Mapping[int, Tensor]) -> Tensor:
    """Means of the deepest tap's channels by cell of a grid: float32 [B,F]."""
    return functional.adaptive_avg_pool2d(taps[max(taps)].float(), _GRID).flatten(1)


@torch.no_grad()
def fit(head: RatingHead, features: Tensor, ratings: Tensor, weight: float) -> None:
    """Ridge regression, in place. features [N,F] as ``pool`` gives them; ratings [N] in [0,1];
    weight: of a rating beside a cosine.
    """
    x, wanted = features.double(), ratings.double()
    mean, scale = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / scale
    gram = x.T @ x + _PENALTY * x.shape[1] * torch.eye(x.shape[1], dtype=x.dtype)
    solved = torch.linalg.solve(gram, x.T @ (wanted - wanted.mean())) / scale * weight
    head.weight.copy_(solved)
    head.bias.copy_(-(mean @ solved))
