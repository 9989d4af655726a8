"""How alike two pictures look: distance of the features of EfficientNet-Lite2, with which nothing
was trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLite2, load_imagenet
from models.evaluation.estimates import Floats

_TAPS = (0, 3, 6, 10)  # the last block of each of the trunk's first stages


class FeatureDistance:
    """As LPIPS (Zhang et al. 2018) without its learned weights: squared distance of features that
    are normalised at each position, mean over positions and blocks. 0 is equal.
    """

    def __init__(self) -> None:
        trunk = EfficientNetLite2(max(_TAPS))
        load_imagenet(trunk)
        self._trunk = trunk.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> list[Tensor]:
        """What is compared of pictures float32 [N,3,H,W] in [-1,1]: [N,C,h,w] of each block."""
        found = self._trunk(pictures, _TAPS)
        return [functional.normalize(found[tap], dim=1) for tap in _TAPS]

    def __call__(self, made: Tensor, real: Tensor) -> Floats:
        """float64 [N] of pictures float32 [N,3,H,W] in [-1,1]."""
        return feature_distance(self.features(made), self.features(real))


@torch.inference_mode()
def feature_distance(made: Sequence[Tensor], real: Sequence[Tensor]) -> Floats:
    """float64 [N] of what ``FeatureDistance.features`` says of either."""
    gaps = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(made, real, strict=True)]
    return np.asarray(torch.stack(gaps).mean(0).double().numpy(), np.float64)
