"""Layers that several networks share: spectral normalisation that folds away, convolutions that
keep or change the size, and unscaled self-attention.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

from models.runtime.cpu.folding import fill
from models.runtime.precision import attend, autocast_disabled

M = TypeVar("M", bound=nn.Module)


class SpectralNorm(nn.Module):
    """A linear layer, or a convolution that keeps the size, whose weight is divided by its largest
    singular value (Miyato et al. 2018), first dimension against the rest.

    Keys ``weight_orig``, ``weight_u``, ``weight_v`` as in published files. In train mode every
    forward does one power iteration; in eval mode the stored vectors are used as they are.
    """

    weight_u: Tensor
    weight_v: Tensor
    bias: nn.Parameter | None

    def __init__(self, plain: nn.Conv2d | nn.Linear, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight_orig = nn.Parameter(plain.weight.detach())
        bias = None if plain.bias is None else nn.Parameter(plain.bias.detach())
        self.register_parameter("bias", bias)
        matrix = self.weight_orig.detach().flatten(1)
        self.register_buffer("weight_u", functional.normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("weight_v", functional.normalize(torch.randn(matrix.shape[1]), dim=0))
        self._iterate(matrix)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        v = functional.normalize(matrix.T @ self.weight_u, dim=0, eps=self.eps)
        u = functional.normalize(matrix @ v, dim=0, eps=self.eps)
        self.weight_u.copy_(u)
        self.weight_v.copy_(v)

    def weight(self) -> Tensor:
        """The normalised weight, float32."""
        matrix = self.weight_orig.flatten(1)
        with torch.autocast(matrix.device.type, enabled=False):
            if self.training:
                self._iterate(matrix.detach())
            # Clones: a later forward changes the buffers in place before this one's backward has
            # run.
            u, v = self.weight_u.clone(), self.weight_v.clone()
            return self.weight_orig / torch.dot(u, matrix @ v)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight()
        if weight.ndim == 2:
            return functional.linear(x, weight, self.bias)
        return functional.conv2d(x, weight, self.bias, padding=weight.shape[2] // 2)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """The same layer with a plain weight, for serving."""
        mode, bias = self.training, self.bias is not None
        b, a, *kernel = self.weight_orig.shape
        plain = _conv(a, b, kernel[0], bias) if kernel else nn.Linear(a, b, bias)
        weight = self.eval().weight()
        return fill(plain, weight, self.bias, self.train(mode))


def fold_spectral_norm(module: M) -> M:
    """Replace every spectral layer inside ``module``, in place, by its plain equal."""
    for name, child in module.named_children():
        if isinstance(child, SpectralNorm):
            setattr(module, name, child.folded())
        else:
            fold_spectral_norm(child)
    return module


def fold_batch_norm(module: M) -> M:
    """Make every batch norm inside ``module`` that is listed right after a convolution a part of
    it, in place. For serving, of networks that run their layers in the order of their names.
    """
    before = ("", nn.Module())
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before[1], nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, nn.Identity())
        else:
            fold_batch_norm(child)
        before = name, child
    return module


def conv(a: int, b: int, kernel: int, spectral: bool, bias: bool = True) -> nn.Module:
    """A convolution that keeps the size, of spectral norm one or with orthogonal weights."""
    return _orthogonal(_conv(a, b, kernel, bias), spectral)


def linear(a: int, b: int, spectral: bool, bias: bool = True) -> nn.Module:
    """A fully connected layer, spectrally normalised or plain with orthogonal weights."""
    return _orthogonal(nn.Linear(a, b, bias), spectral)


def _conv(a: int, b: int, kernel: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=bias)


def _orthogonal(plain: nn.Conv2d | nn.Linear, spectral: bool) -> nn.Module:
    nn.init.orthogonal_(plain.weight)
    return SpectralNorm(plain) if spectral else plain


def nearest(x: Tensor, side: int | None = None) -> Tensor:
    """x [B,C,H,W] at another side, or twice as large, in its own dtype: autocast on CUDA would make
    float32 of it. Given a side, source rows are floor(row · H / side), as published weights expect.
    """
    with autocast_disabled(x):
        if side is None:
            return functional.interpolate(x, scale_factor=2, mode="nearest")
        return functional.interpolate(x, (side, side), mode="nearest")


class Nearest(nn.Module):
    """Nearest upsampling to a size, or by two.

    Sizes, not scales: the published weights expect source row floor(row · 17 / 64), which torch's
    scale form misses.
    """

    def __init__(self, size: int | None = None) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return nearest(x, self.size)


def conv3(a: int, b: int, bias: bool = False) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size."""
    return nn.Conv2d(a, b, 3, padding=1, bias=bias)


def halve(a: int, b: int, norm: bool = True, bias: bool = False) -> list[nn.Module]:
    """A discriminator's 4×4 convolution to half the size, batch norm, leaky ReLU (DCGAN)."""
    layers: list[nn.Module] = [nn.Conv2d(a, b, 4, 2, 1, bias=bias)]
    if norm:
        layers.append(nn.BatchNorm2d(b))
    return [*layers, leaky()]


def leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


@torch.no_grad()
def init_normal(module: M) -> M:
    """First weights as most published methods have them, in place: N(0, 0.02), gains of batch norms
    N(1, 0.02), biases 0; GRU cells keep torch's, and frozen layers theirs.
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            continue
        if layer.weight.requires_grad:
            nn.init.normal_(layer.weight, float(isinstance(layer, nn.BatchNorm2d)), 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def to_features(rows: Tensor, height: int, width: int) -> Tensor:
    """[B,H·W,C] as features [B,C,H,W], which so are channels last in memory, as convolutions like.

    A reshape to the same would have another stride for the batch of one, and torch, which goes by
    strides, would take the features for contiguous ones.
    """
    return rows.unflatten(1, (height, width)).permute(0, 3, 1, 2)


class SelfAttention(nn.Module):
    """Self-attention of Efficient-T2I (Souza et al. 2020): pooled keys, no scaling, no biases."""

    def __init__(self, channels: int, spectral: bool = True) -> None:
        super().__init__()
        self.theta = conv(channels, channels // 8, 1, spectral, bias=False)
        self.phi = conv(channels, channels // 8, 1, spectral, bias=False)
        self.g = conv(channels, channels // 2, 1, spectral, bias=False)
        self.o = conv(channels // 2, channels, 1, spectral, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        queries = self.theta(x).flatten(2).transpose(1, 2)
        keys = functional.max_pool2d(self.phi(x), 2).flatten(2)
        values = functional.max_pool2d(self.g(x), 2).flatten(2)
        # One picture after the other on a CPU: 64 MiB of attention, four pictures of 64×64 cells,
        # would be more than glibc keeps for a thread, and so be mapped anew each time.
        most = 1 if x.device.type == "cpu" else len(x)
        parts = zip(queries.split(most), keys.split(most), values.split(most), strict=True)
        context = torch.cat([attend(*part) for part in parts])
        return x + self.gamma * self.o(to_features(context, h, w))
