"""Instance norm without running statistics, fast in training on a CPU too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL_MAP = 256  # cells up to which torch's kernel for channels last is slow


class _InstanceNorm(torch.autograd.Function):
    """torch's group norm with one channel a group, of which the gradient is taken by sums and
    products over whole tensors: in bfloat16 with channels last, torch's own kernel for it is six
    times as slow on a CPU, and twenty times for the norm of small maps.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        b, c, h, w = x.shape
        if h * w > _SMALL_MAP:
            out, mean, inverse = torch.native_group_norm(x, weight, bias, b, c, h * w, c, eps)
        else:
            out, mean, inverse = _small_map_norm(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, mean.view(b, c, 1, 1), inverse.view(b, c, 1, 1))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        (g,) = gradients
        by_bias = g.sum((2, 3), keepdim=True, dtype=torch.float32)
        product = (g * x).sum((2, 3), keepdim=True, dtype=torch.float32)
        by_weight = (product - mean * by_bias) * inverse
        scale = inverse if weight is None else inverse * weight[:, None, None]
        # What the gradient loses: its mean, and its part along the normed features.
        cells = x.shape[2] * x.shape[3]
        along = by_weight * scale * inverse / cells
        level = by_bias * scale / cells - along * mean
        by_x = torch.addcmul(-level.to(x.dtype), x, -along.to(x.dtype))
        by_x = torch.addcmul(by_x, g, scale.to(x.dtype))
        if weight is None:
            return by_x, None, None, None
        return by_x, by_weight.sum(0).flatten(), by_bias.sum(0).flatten(), None


def _small_map_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``torch.native_group_norm``, in float32 over whole tensors."""
    exact, cells = x.float(), x.shape[2] * x.shape[3]
    mean = exact.sum((2, 3), keepdim=True) / cells
    variance = exact.square().sum((2, 3), keepdim=True) / cells - mean.square()
    inverse = variance.clamp_min(0).add(eps).rsqrt()
    scale = inverse if weight is None else inverse * weight[:, None, None]
    shift = -mean * scale if bias is None else bias[:, None, None] - mean * scale
    return torch.addcmul(shift, exact, scale).to(x.dtype), mean, inverse


class InstanceNorm(nn.GroupNorm):
    """Of each channel of a picture [B,C,H,W], in kernels that keep channels last in memory.

    Training uses group norm with one channel a group. Its kernel takes the variance as a difference
    of large numbers, which costs three digits on large pictures, so serving in float32 on the CPU
    norms one picture after the other by their batch statistics: as fast and as exact as needed.
    """

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__(channels, channels, affine=affine)

    def forward(self, input: Tensor) -> Tensor:
        on_cpu = input.device.type == "cpu"
        if self.training and on_cpu and input.dtype == torch.bfloat16:
            normed: Tensor = _InstanceNorm.apply(input, self.weight, self.bias, self.eps)
            return normed
        exact = not self.training and input.dtype == torch.float32 and on_cpu
        if not exact:
            return super().forward(input)
        rows = [
            functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)
            for x in input.split(1)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows)
