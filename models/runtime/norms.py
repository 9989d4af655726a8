"""Norms of one picture's features, in the activations' dtype and memory format on every device."""

import math
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


class GroupNorm(nn.GroupNorm):
    """torch's group norm of features [B,C,H,W], of all channels together or of each by itself.

    torch's CUDA kernel returns rows of channels, in float32 under autocast, which the convolution
    after it converts back; this one keeps dtype and memory format. Statistics are float32 anywhere.
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cuda":
            return super().forward(input)
        dims = (1, 2, 3) if self.num_groups == 1 else (2, 3)
        with torch.autocast("cuda", enabled=False):
            mean, inverse = _statistics(input, dims, self.eps)
            scale = inverse if self.weight is None else inverse * self.weight[:, None, None]
            shift = -mean * scale if self.bias is None else self.bias[:, None, None] - mean * scale
            if torch.is_grad_enabled():
                return torch.addcmul(shift, input, scale).to(input.dtype)
            return torch.addcmul(shift, input, scale, out=torch.empty_like(input))


def _statistics(x: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation, float32; of half precision without a copy in float32."""
    if x.dtype == torch.float32:
        variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    else:
        cells = math.prod(x.shape[d] for d in dims)
        mean = x.sum(dims, keepdim=True, dtype=torch.float32) / cells
        norm = torch.linalg.vector_norm(x, 2, dims, keepdim=True, dtype=torch.float32)
        variance = (norm.square() / cells - mean.square()).clamp_min(0)
    return mean, torch.rsqrt(variance + eps)


class InstanceNorm(GroupNorm):
    """Of each channel of a picture [B,C,H,W], in kernels that keep channels last in memory.

    Training uses group norm with one channel a group. Its kernel takes the variance as a difference
    of large numbers, which costs three digits on large pictures, so serving in float32 on the CPU
    norms one picture after the other by their batch statistics: as fast and as exact as needed.
    """

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__(channels, channels, affine=affine)

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return super().forward(input)
        half, small = input.dtype == torch.bfloat16, input.shape[2:].numel() <= _SMALL_MAP
        if self.training:
            if half:
                return _InstanceNorm.apply(input, self.weight, self.bias, self.eps)
            return super().forward(input)
        if half and small:
            return _small_map_norm(input, self.weight, self.bias, self.eps)[0]
        rows = [self._served(x) for x in input.split(1)]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _served(self, picture: Tensor) -> Tensor:
        """One by one: with several threads torch's kernel adds up by batch size, and rounding in
        half precision makes steps that show of a difference in the last bit.
        """
        if picture.dtype != torch.float32:
            return super().forward(picture)
        return functional.batch_norm(
            picture, None, None, self.weight, self.bias, True, 0.0, self.eps
        )


class ExactInstanceNorm(InstanceNorm):
    """As exact in training in float32 on the CPU as elsewhere, for networks whose gradients the
    missing digits change.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.device.type == "cpu" and input.dtype == torch.float32:
            return functional.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)
        return super().forward(input)
