"""Efficient-T2I (Souza, Wehrmann, Ruiz, IJCNN 2020): one generator, one discriminator, no stages.

BigGAN-deep style bottleneck blocks with leaky ReLU (slope 0.01); text and noise enter every
normalisation of the generator; the discriminator sees the sentence in a projection term. Keys as
published, without the ``main.*`` aliases.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import SelfAttention, conv, fold_spectral_norm, linear, nearest
from models.runtime.cpu.folding import fill, fold_doubling
from models.runtime.precision import in_autocast
from models.synthesis.efficient_t2i.latent import shape_noise

_SLOPE = 0.01
_BOTTOM = 4


@dataclass(frozen=True)
class GeneratorConfig:
    """widths: channels in units of ngf at 4, 8, 16, … up to the output size, so the size is
    4·2^(len−1).

    attention: resolution of the self-attention layer, 0 for none; spectral: normalise weights as
    the published generator does; latent: shapes of the noise
    (:mod:`models.synthesis.efficient_t2i.latent`), empty for normals as published. The defaults are
    the published birds and flowers model, 256×256.
    """

    ngf: int = 96
    widths: tuple[int, ...] = (16, 16, 8, 8, 4, 2, 1)
    z: int = 128
    sentence: int = 256
    attention: int = 64
    spectral: bool = True
    latent: str = ""

    @property
    def size(self) -> int:
        return _BOTTOM * 2 ** (len(self.widths) - 1)


@dataclass(frozen=True)
class DiscriminatorConfig:
    """widths: channels in units of ndf at the input size and each half of it down to 4."""

    ndf: int = 96
    widths: tuple[int, ...] = (1, 2, 4, 8, 8, 16, 16)
    sentence: int = 256
    attention: int = 64


def _phi(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)


def _activate(fresh: Tensor) -> Tensor:
    """The same in place, for what a layer has just made and nobody else reads."""
    return functional.leaky_relu(fresh, _SLOPE, inplace=True)


def _scale(norm: nn.BatchNorm2d, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """gain · BN(x) + shift in eval mode and in one pass over x; gain and shift [B or 1,C]."""
    assert norm.running_mean is not None  # noqa: S101 (this network's norms all keep statistics)
    assert norm.running_var is not None  # noqa: S101
    scale = gain * torch.rsqrt(norm.running_var + norm.eps)
    offset = shift - scale * norm.running_mean
    scale, offset = (t.to(x.dtype)[:, :, None, None] for t in (scale, offset))
    return torch.addcmul(offset, x, scale)


# [B,condition], or once folded scale and offset [B,C,1,1] of every norm, one after the other
Condition = Tensor | Sequence[Tensor]


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and shift are linear in the condition: (1 + γ(c)) · BN(x) + β(c)."""

    def __init__(self, channels: int, condition: int, spectral: bool) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.gammas_projection = linear(condition, channels, spectral)
        self.betas_projection = linear(condition, channels, spectral)
        self.place: int | None = None  # once folded: which of the conditions are scale and offset

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        if self.place is not None:
            scale, offset = condition[self.place : self.place + 2]
            return torch.addcmul(offset, x, scale)
        assert isinstance(condition, Tensor)  # noqa: S101 (only folded networks have several)
        gamma, beta = self.gammas_projection(condition), self.betas_projection(condition)
        if not self.bn.training:
            return _scale(self.bn, x, 1 + gamma.float(), beta.float())
        normed = self.bn(x)
        gain, shift = (t.to(normed.dtype)[:, :, None, None] for t in (1 + gamma, beta))
        return torch.addcmul(shift, normed, gain)

    @torch.no_grad()
    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight [2·channels,condition] and bias of scale and offset, which applied to x are this
        norm; of plain projections and in eval mode.
        """
        assert self.bn.running_mean is not None  # noqa: S101
        assert self.bn.running_var is not None  # noqa: S101
        gain: Any = self.gammas_projection
        shift: Any = self.betas_projection
        inverse, mean = torch.rsqrt(self.bn.running_var + self.bn.eps), self.bn.running_mean
        scale = inverse[:, None] * gain.weight, inverse * (1 + gain.bias)
        offset = shift.weight - mean[:, None] * scale[0], shift.bias - mean * scale[1]
        return torch.cat([scale[0], offset[0]]), torch.cat([scale[1], offset[1]])


class GeneratorBlock(nn.Module):
    """Bottleneck of a quarter of the input width; the shortcut drops channels."""

    def __init__(self, a: int, b: int, up: bool, condition: int, spectral: bool) -> None:
        super().__init__()
        hidden = a // 4
        self.out, self.up = b, up
        self.doubles = False  # True once folded: the second convolution doubles the size then
        self.conv1 = conv(a, hidden, 1, spectral)
        self.conv2 = conv(hidden, hidden, 3, spectral)
        self.conv3 = conv(hidden, hidden, 3, spectral)
        self.conv4 = conv(hidden, b, 1, spectral)
        self.bn1 = ConditionalNorm(a, condition, spectral)
        self.bn2 = ConditionalNorm(hidden, condition, spectral)
        self.bn3 = ConditionalNorm(hidden, condition, spectral)
        self.bn4 = ConditionalNorm(hidden, condition, spectral)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        h = self.conv1(_activate(self.bn1(x, condition)))
        h = _activate(self.bn2(h, condition))
        shortcut = x[:, : self.out]
        if self.up:
            if not self.doubles:
                h = nearest(h)
            shortcut = nearest(shortcut)
        h = self.conv2(h)
        h = self.conv3(_activate(self.bn3(h, condition)))
        h = self.conv4(_activate(self.bn4(h, condition)))
        return h.add_(shortcut)


class Generator(nn.Module):
    """Noise and a sentence to a picture. Blocks are named ``block1`` … ``blockN`` as published."""

    # Both are products of rows, which a CPU sums in another order for one row than for many.
    keep_in_fp32 = ("block1", "joined")

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        channels = [w * config.ngf for w in config.widths]
        condition = config.sentence + config.z
        spectral = config.spectral
        self.joined: nn.Module = nn.Identity()  # once folded: the conditions of all norms at once
        self.widths: list[int] = []  # and how wide each of these is
        self.block1 = linear(config.z, channels[0] * _BOTTOM**2, spectral)
        self.blocks: list[str] = []  # the layers between the first and the last, in order
        for level, (a, b) in enumerate(itertools.pairwise(channels)):
            if _BOTTOM * 2**level == config.attention:
                self.non_local = SelfAttention(a, spectral)
                self.blocks.append("non_local")
            for number, out, up in ((2 + 2 * level, a, False), (3 + 2 * level, b, True)):
                name = f"block{number}"
                self.add_module(name, GeneratorBlock(a, out, up, condition, spectral))
                self.blocks.append(name)
        self.bn = nn.BatchNorm2d(channels[-1])
        self._last = f"block{2 * len(channels)}"
        self.add_module(self._last, conv(channels[-1], 3, 3, spectral))

    def forward(self, z: Tensor, sentence: Tensor) -> Tensor:
        """z [B,z] ~ N(0,1), sentence [B,sentence] → pictures [B,3,size,size] in [-1,1]."""
        return torch.tanh(self.raw(z, sentence))

    def raw(self, z: Tensor, sentence: Tensor) -> Tensor:
        """The pictures before tanh, float32."""
        shaped = shape_noise(z, self.config.latent)
        return self.to_raw(self.features_from_code(shaped, sentence))

    def features_from_code(self, z: Tensor, sentence: Tensor) -> Tensor:
        """The last features [B,C,size,size], which :meth:`to_raw` makes pictures of, from noise
        that has its shape already, as a data set knows it.
        """
        h = in_autocast(self.block1(z).view(len(z), -1, _BOTTOM, _BOTTOM))
        joined: Tensor = self.joined(torch.cat([sentence, z], 1))
        condition: Condition = joined
        if self.widths:
            condition = joined.to(h.dtype)[:, :, None, None].split(self.widths, 1)
        for name in self.blocks:
            layer = self.get_submodule(name)
            h = layer(h) if name == "non_local" else layer(h, condition)
        return _activate(self._norm(h))

    def to_raw(self, features: Tensor) -> Tensor:
        """Pictures before tanh, float32."""
        return self.get_submodule(self._last)(features).float()

    def _norm(self, h: Tensor) -> Tensor:
        if self.bn.training:
            return self.bn(h)
        return _scale(self.bn, h, self.bn.weight[None], self.bn.bias[None])


def fold_generator(generator: Generator, device: str = "cpu") -> Generator:
    """The same function up to rounding, in less time, in place: spectral norms become plain
    weights, upsampling a part of the convolution that follows it, and what the norms make of the
    condition one product. For serving.
    """
    fold_spectral_norm(generator)
    if isinstance(generator.joined, nn.Identity):
        generator.joined = _join(generator)
    side = _BOTTOM
    for block in generator.modules():
        if isinstance(block, GeneratorBlock) and block.up:
            if isinstance(block.conv2, nn.Conv2d):
                side_known = side if device == "cpu" else None
                block.conv2, block.doubles = fold_doubling(block.conv2, side_known), True
            side *= 2
    return generator


@torch.no_grad()
def _join(generator: Generator) -> nn.Linear:
    """The projections of all conditional norms as one layer; each learns its place."""
    norms = [m for m in generator.modules() if isinstance(m, ConditionalNorm)]
    weights, biases = zip(*(norm.folded() for norm in norms), strict=True)
    joined = nn.Linear(weights[0].shape[1], sum(map(len, weights)))
    generator.widths = [len(weight) // 2 for weight in weights for _ in range(2)]
    for number, norm in enumerate(norms):
        norm.place = 2 * number
        norm.gammas_projection = norm.betas_projection = nn.Identity()
    return fill(joined, torch.cat(weights), torch.cat(biases), generator)


class DiscriminatorBlock(nn.Module):
    """Bottleneck of a quarter of the output width, no norm; the shortcut appends channels."""

    def __init__(self, a: int, b: int, down: bool) -> None:
        super().__init__()
        hidden = b // 4
        self.down = down
        self.conv1 = conv(a, hidden, 1, True)
        self.conv2 = conv(hidden, hidden, 3, True)
        self.conv3 = conv(hidden, hidden, 3, True)
        self.conv4 = conv(hidden, b, 1, True)
        self.conv_sc = conv(a, b - a, 1, True) if a != b else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(_phi(x))
        h = self.conv2(_activate(h))
        h = _activate(self.conv3(_activate(h)))
        if self.down:
            h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
        shortcut = x if self.conv_sc is None else torch.cat([x, self.conv_sc(x)], 1)
        return self.conv4(h) + shortcut


class Discriminator(nn.Module):
    """Picture and sentence to one logit each, by projection."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels = [w * config.ndf for w in config.widths]
        size = _BOTTOM * 2 ** (len(channels) - 1)
        self.block1 = conv(3, channels[0], 3, True)
        self._order: list[str] = []
        for level, (a, b) in enumerate(itertools.pairwise(channels)):
            if size // 2**level == config.attention and level:
                self.non_local = SelfAttention(a)
                self._order.append("non_local")
            for number, width, down in ((2 + 2 * level, a, True), (3 + 2 * level, b, False)):
                name = f"block{number}"
                self.add_module(name, DiscriminatorBlock(width, b, down))
                self._order.append(name)
        self.linear_out = linear(channels[-1], 1, True)
        self.emb_proj = linear(config.sentence, channels[-1], True)

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Pictures [B,3,S,S] in [-1,1] → (summed features [B,C],)."""
        h = self.block1(images)
        for name in self._order:
            h = self.get_submodule(name)(h)
        return (_phi(h).float().sum((2, 3)),)

    def logits(self, features: tuple[Tensor, ...], sentence: Tensor) -> Tensor:
        """Realness plus agreement of features with sentences [B,sentence] → [B,1]."""
        (summed,) = features
        projected = (self.emb_proj(sentence) * summed).sum(1, keepdim=True)
        return self.linear_out(summed) + projected

    def forward(self, images: Tensor, sentence: Tensor) -> Tensor:
        """Logits [B]."""
        return self.logits(self.features(images), sentence).flatten()
