"""How alike two pictures look: distance of the features of EfficientNet-Lite2, with which nothing
was trained.
"""

from __future__ import annotations

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
    def __call__(self, made: Tensor, real: Tensor) -> Floats:
        """float64 [N] of pictures float32 [N,3,H,W] in [-1,1]."""
        first, second = self._trunk(made, _TAPS), self._trunk(real, _TAPS)
        gaps = []
        for tap in _TAPS:
            a, b = functional.normalize(first[tap], dim=1), functional.normalize(second[tap], dim=1)
            gaps.append((a - b).square().sum(1).mean((1, 2)))
        return np.asarray(torch.stack(gaps).mean(0).double().numpy(), np.float64)
