"""Convolutions of TDANet: its spectral normalisation, and the kinds its encoder may be built of.

Unlike torch's own, the normalisation flattens every weight on dimension 0, transposed convolutions
included, and does one power iteration in each forward, in eval mode too. Keys as published:
``NAME.module.weight_{bar,u,v}``, ``bias``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.runtime.cpu.folding import fill

_EPS = 1e-12


def _unit(x: Tensor) -> Tensor:
    return x / (x.norm() + _EPS)


class _SpectralNormalised(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.detach())
        rest = weight[0].numel()
        self.weight_u = nn.Parameter(_unit(torch.randn(weight.shape[0])), requires_grad=False)
        self.weight_v = nn.Parameter(_unit(torch.randn(rest)), requires_grad=False)
        self.weight_bar = nn.Parameter(weight.detach())


class SpectralConv(nn.Module):
    """A convolution, or a transposed one that doubles the size (up), of spectral norm one."""

    def __init__(self, plain: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        assert plain.bias is not None  # noqa: S101 (every layer of this network has one)
        self.module = _SpectralNormalised(plain.weight, plain.bias)
        self.up = isinstance(plain, nn.ConvTranspose2d)
        self.padding, self.dilation = int(plain.padding[0]), int(plain.dilation[0])

    @property
    def bias(self) -> Tensor:
        return self.module.bias

    def weight(self) -> Tensor:
        """The weight divided by its norm; keeps the iterated vectors in train mode only."""
        bar = self.module.weight_bar
        matrix = bar.flatten(1)
        with torch.autocast(bar.device.type, enabled=False):
            with torch.no_grad():
                v = _unit(matrix.T @ self.module.weight_u)
                u = _unit(matrix @ v)
            if not self.training:
                return bar / torch.dot(u, matrix @ v)
            # New storage behind the same parameters, as in the published training: a backward pass
            # of an earlier forward reads the latest vectors, too.
            self.module.weight_u.data, self.module.weight_v.data = u, v
            return bar / torch.dot(self.module.weight_u, matrix @ self.module.weight_v)

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            return functional.conv_transpose2d(
                x, self.weight(), self.module.bias, stride=2, padding=1, output_padding=1
            )
        return functional.conv2d(
            x, self.weight(), self.module.bias, padding=self.padding, dilation=self.dilation
        )

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The plain layer that computes the same from the stored vectors."""
        weight = self.weight()
        plain: nn.Conv2d | nn.ConvTranspose2d
        if self.up:
            plain = _up_conv(weight.shape[0], weight.shape[1])
        else:
            b, a, k, _ = weight.shape
            plain = nn.Conv2d(a, b, k, padding=self.padding, dilation=self.dilation)
        return fill(plain, weight, self.module.bias, self)


def _up_conv(a: int, b: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1)


def conv(
    a: int, b: int, kernel: int, spectral: bool, padding: int | None = None, dilation: int = 1
) -> nn.Module:
    """A convolution that keeps the size (or loses the border with padding 0)."""
    kept = dilation * (kernel // 2) if padding is None else padding
    plain = nn.Conv2d(a, b, kernel, padding=kept, dilation=dilation)
    return SpectralConv(plain) if spectral else plain


def up_conv(a: int, b: int, spectral: bool) -> nn.Module:
    """A transposed 3×3 convolution to twice the size."""
    plain = _up_conv(a, b)
    return SpectralConv(plain) if spectral else plain


class GatedConv(nn.Module):
    """Gated 3×3 convolution (Yu et al. 2019, equation 3): features · sigmoid(gate), each by a
    convolution of its own. The activation, which the paper puts on the features, follows: a leaky
    ReLU commutes with positive factors.
    """

    def __init__(self, a: int, b: int, spectral: bool) -> None:
        super().__init__()
        self.feature = conv(a, b, 3, spectral)
        self.gate = conv(a, b, 3, spectral)

    def forward(self, x: Tensor) -> Tensor:
        return self.feature(x) * torch.sigmoid(self.gate(x))


def conv3(kind: str, a: int, b: int, spectral: bool) -> nn.Module:
    """A 3×3 convolution that keeps the size: "plain", "dilated" (every second pixel, a reach of
    5×5; Iizuka et al. 2017) or "gated".
    """
    if kind == "gated":
        return GatedConv(a, b, spectral)
    return conv(a, b, 3, spectral, dilation=2 if kind == "dilated" else 1)


class _ReflectionPad(torch.autograd.Function):
    """One pixel on each side. torch's own kernels return rows of channels, which the convolution
    after them and the gradient before them then copy: a tenth of a training step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        b, c, h, w = x.shape
        out = torch.empty((b, c, h + 2, w + 2), dtype=x.dtype, memory_format=torch.channels_last)
        out[:, :, 1:-1, 1:-1] = x
        out[:, :, 0, 1:-1], out[:, :, -1, 1:-1] = x[:, :, 1], x[:, :, -2]
        out[..., 0], out[..., -1] = out[..., 2], out[..., -3]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        (g,) = gradients
        inner = g[:, :, 1:-1, 1:-1].clone(memory_format=torch.channels_last)
        for row, column, to in ((0, 0, 1), (-1, -1, -2)):
            inner[:, :, to] += g[:, :, row, 1:-1]
            inner[..., to] += g[:, :, 1:-1, column]
            inner[:, :, to, 1] += g[:, :, row, 0]
            inner[:, :, to, -2] += g[:, :, row, -1]
        return inner


def reflection_pad(x: Tensor, training: bool) -> Tensor:
    """x [B,C,H,W] with one reflected pixel on each side."""
    if training and x.device.type == "cpu":
        return _ReflectionPad.apply(x)
    return functional.pad(x, (1, 1, 1, 1), mode="reflect")
