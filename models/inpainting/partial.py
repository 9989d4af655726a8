"""Partial convolutions (Liu et al. 2018): pictures with holes, and masks that shrink on the way.

Masks are [B,1,H,W], exactly 1 = known and 0 = hole.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from models.inpainting.blocks import SLOPE, activate
from models.inpainting.convolutions import conv


class PartialConv(nn.Module):
    """A 3×3 convolution of the known pixels, times 9 / their number in the window (equation 1);
    where there are none the result is 0 and stays a hole (equation 2). Padding counts as hole.
    """

    def __init__(self, a: int, b: int, spectral: bool) -> None:
        super().__init__()
        self.conv = conv(a, b, 3, spectral)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x [B,a,H,W] → ([B,b,H,W], its mask)."""
        count = functional.avg_pool2d(mask, 3, stride=1, padding=1, divisor_override=1)
        known = (count > 0.5).to(mask.dtype)
        bias = cast("Tensor", self.conv.bias)[:, None, None]
        raw = self.conv(x * mask.to(x.dtype))
        out = (raw - bias) * (9 / count.clamp(min=1)) + bias
        return (out * known).to(raw.dtype), known


def halve(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Means over the known pixels of 2×2 blocks; a block without any becomes a hole of zeros."""
    share = functional.avg_pool2d(mask, 2)
    mean = functional.avg_pool2d(x * mask.to(x.dtype), 2) / share.clamp(min=0.25).to(x.dtype)
    return mean, (share > 0).to(mask.dtype)


class PartialBlock(nn.Module):
    """The residual block that halves the size, of partial convolutions. ``first``: x are pixels,
    without activation before the first convolution.
    """

    def __init__(self, a: int, b: int, hidden: int, spectral: bool, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.conv1 = PartialConv(a, hidden, spectral)
        self.conv2 = PartialConv(hidden, b, spectral)
        self.bypass = conv(a, b, 1, spectral)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x [B,a,H,W] → ([B,b,H/2,W/2], its mask)."""
        h, known = self.conv1(x if self.first else functional.leaky_relu(x, SLOPE), mask)
        h, known = halve(*self.conv2(activate(h), known))
        shortcut: Tensor = self.bypass(halve(x, mask)[0])
        return shortcut + h, known
