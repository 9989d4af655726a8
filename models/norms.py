"""Norms of one picture's features without running statistics, fast in training on a CPU too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_SMALL_MAP = 256  # cells up to which torch's kernel for channels last is slow


class _GroupNorm(torch.autograd.Function):
    """torch's group norm, of which the gradient is taken by sums and products over whole tensors:
    in bfloat16 with channels last, torch's own kernel for it is six times as slow on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float
    ) -> Tensor:
        b, c, h, w = x.shape
        if h * w > _SMALL_MAP:
            out, mean, inverse = torch.native_group_norm(x, weight, bias, b, c, h * w, groups, eps)
        else:
            out, mean, inverse = _small_map_norm(x, weight, bias, groups, eps)
        ctx.save_for_backward(x, weight, mean[:, :, None, None], inverse[:, :, None, None])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        g, groups = gradients[0], mean.shape[1]
        by_bias = g.sum((2, 3), keepdim=True, dtype=torch.float32)
        product = (g * x).sum((2, 3), keepdim=True, dtype=torch.float32)
        mean, inverse = (_by_channel(value, x.shape[1]) for value in (mean, inverse))
        by_weight = (product - mean * by_bias) * inverse
        scale = inverse if weight is None else inverse * weight[:, None, None]
        # What the gradient loses: its mean over a group, and its part along the normed features.
        count = x[0].numel() // groups
        along = _by_group(by_weight * scale, groups) * inverse / count
        level = _by_group(by_bias * scale, groups) / count - along * mean
        by_x = torch.addcmul(-level.to(x.dtype), x, -along.to(x.dtype))
        by_x = torch.addcmul(by_x, g, scale.to(x.dtype))
        if weight is None:
            return by_x, None, None, None, None
        return by_x, by_weight.sum(0).flatten(), by_bias.sum(0).flatten(), None, None


def _small_map_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``torch.native_group_norm``, in float32 over whole tensors."""
    exact = x.float()
    count = x[0].numel() // groups
    sums = exact.sum((2, 3)).unflatten(1, (groups, -1)).sum(2)
    squares = exact.square().sum((2, 3)).unflatten(1, (groups, -1)).sum(2)
    mean = sums / count
    inverse = (squares / count - mean.square()).clamp_min(0).add(eps).rsqrt()
    level, scale = (_by_channel(v[:, :, None, None], x.shape[1]) for v in (mean, inverse))
    scale = scale if weight is None else scale * weight[:, None, None]
    shift = -level * scale if bias is None else bias[:, None, None] - level * scale
    return torch.addcmul(shift, exact, scale).to(x.dtype), mean, inverse


def _by_channel(values: Tensor, channels: int) -> Tensor:
    """[B,groups,1,1] → [B,channels,1,1]."""
    return values.repeat_interleave(channels // values.shape[1], 1)


def _by_group(values: Tensor, groups: int) -> Tensor:
    """[B,C,1,1] → the same with each channel's value the sum over its group."""
    sums = values.unflatten(1, (groups, -1)).sum(2)
    return _by_channel(sums, values.shape[1])


def _normed(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """As the module says, by whichever kernels are faster."""
    if norm.training and x.dtype == torch.bfloat16 and x.device.type == "cpu":
        out: Tensor = _GroupNorm.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
        return out
    return functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)


class LayerNorm(nn.GroupNorm):
    """Of all features of a picture [B,C,H,W], without weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels, affine=False)

    def forward(self, input: Tensor) -> Tensor:
        return _normed(self, input)


class InstanceNorm(nn.GroupNorm):
    """Of each channel of a picture [B,C,H,W], in kernels that keep channels last in memory.

    Training uses group norm with one channel a group. Its kernel takes the variance as a difference
    of large numbers, which costs three digits on large pictures, so serving in float32 on the CPU
    norms one picture after the other by their batch statistics: as fast and as exact as needed.
    """

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__(channels, channels, affine=affine)

    def forward(self, input: Tensor) -> Tensor:
        exact = not self.training and input.dtype == torch.float32 and input.device.type == "cpu"
        if not exact:
            return _normed(self, input)
        rows = [
            functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)
            for x in input.split(1)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows)
