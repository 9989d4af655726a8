"""Layers merged into others that compute the same with fewer products, which is time on a CPU."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

M = TypeVar("M", bound=nn.Module)
_SMALL = 32  # side up to which the CPU's transposed convolutions may add up by batch size


@torch.no_grad()
def fill(layer: M, weight: Tensor, bias: Tensor | None, like: nn.Module) -> M:
    """A new layer with these weights, in the mode of the one that it replaces."""
    layer.get_parameter("weight").copy_(weight)
    if bias is not None:
        layer.get_parameter("bias").copy_(bias)
    return layer.train(like.training)


class SubpixelDoubling(nn.Module):
    """A transposed 4×4 convolution that doubles the size, as a 2×2 convolution that makes four
    pixels at once (Shi et al. 2016): the same products in another order.

    With several threads the CPU's transposed convolutions of small maps give a picture other last
    bits alone than in a batch, its convolutions do not (see
    :func:`models.runtime.precision.batch_invariant_linear`).
    """

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        a, b, bias = transposed.in_channels, transposed.out_channels, transposed.bias
        four = nn.Conv2d(a, 4 * b, 2, padding=1, bias=bias is not None)
        # Pixel p of two comes from the kernel's rows p and p + 2, the nearer input last.
        kernel = transposed.weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4)
        kernel = kernel.permute(3, 5, 1, 0, 2, 4).reshape(4 * b, a, 2, 2)
        self.four = fill(four, kernel, None if bias is None else bias.repeat(4), transposed)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.four(x).permute(0, 2, 3, 1).unflatten(3, (2, 2, -1)).transpose(2, 3)
        return pixels.flatten(3, 4).flatten(1, 2)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def fold_doubling(plain: nn.Conv2d, side: int | None = None) -> nn.Module:
    """Nearest upsampling by two and a 3×3 convolution that keeps the size, as one layer: the same
    function up to rounding with 4 products per output pixel instead of 9. side: of its input, if
    known and always the same.
    """
    transposed = _transpose(plain)
    if side is None or side > _SMALL:
        return transposed
    return SubpixelDoubling(transposed).train(plain.training)


def _transpose(plain: nn.Conv2d) -> nn.ConvTranspose2d:
    """A pixel made of two rows of equal pixels sees the sum of their two kernel rows."""
    merged = nn.ConvTranspose2d(
        plain.in_channels, plain.out_channels, 4, stride=2, padding=1, bias=plain.bias is not None
    )
    rows = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float64)
    kernel = torch.einsum("ik,bakl,jl->abij", rows, plain.weight.double(), rows)
    return fill(merged, kernel, plain.bias, plain)


class FusedPointwise(nn.Module):
    """Two 3×3 convolutions that keep the size, with nothing between them, as one 5×5: the same
    function up to rounding. ``saves`` says where that is less work.

    The second convolution sees zeros beyond the border, where one convolution would go on with the
    first. So the outermost pixels are made by the two, from strips of three.
    """

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        assert first.bias is None  # noqa: S101 (it would not reach beyond the border either)
        self.two = nn.Sequential(first, second)
        self.one = _merge(first, second)

    @staticmethod
    def saves(first: nn.Conv2d, *seconds: nn.Conv2d) -> bool:
        """Whether the products of ``seconds`` after one ``first`` become fewer by a quarter."""
        a, hidden, b = first.in_channels, first.out_channels, sum(s.out_channels for s in seconds)
        return 25 * a * b < 0.75 * 9 * (a * hidden + hidden * b)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.one(x)
        out[:, :, :1] = self.two(x[:, :, :3])[:, :, :1]
        out[:, :, -1:] = self.two(x[:, :, -3:])[:, :, -1:]
        out[..., :1] = self.two(x[..., :3])[..., :1]
        out[..., -1:] = self.two(x[..., -3:])[..., -1:]
        return out


def _merge(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """The 5×5 convolution of two 3×3 ones: every kernel of the second smeared by the first's."""
    merged = nn.Conv2d(
        first.in_channels, second.out_channels, 5, padding=2, bias=second.bias is not None
    )
    smear = first.weight.double().transpose(0, 1).flip(2, 3)
    kernel = functional.conv2d(second.weight.double(), smear, padding=2)
    return fill(merged, kernel, second.bias, second)
