"""Tells real pictures from enlarged ones by small patches (Isola et al. 2017), with spectral norms
(Miyato et al. 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import conv

_SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """Pictures [B,3,H,W] in [-1,1] and their blurred selves, of the same shape, to a map of
    realness [B,1,H/8,W/8]. It sees the difference, so detail is all that it can go by; what is
    beside that detail it sees too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(24, width, 3, spectral=True)
        self.middle = nn.ModuleList([conv(width, width, 3, spectral=True) for _ in range(2)])
        self.last = conv(width, 1, 1, spectral=True)

    def forward(self, pictures: Tensor, soft: Tensor) -> Tensor:
        pairs = functional.pixel_unshuffle(torch.cat([4 * (pictures - soft), soft], 1), 2)
        h = functional.leaky_relu(self.first(pairs), _SLOPE)
        for layer in self.middle:
            h = functional.leaky_relu(layer(functional.avg_pool2d(h, 2)), _SLOPE)
        out: Tensor = self.last(h)
        return out.float()
