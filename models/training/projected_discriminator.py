"""A discriminator on frozen ImageNet features (Projected GAN, Sauer et al. 2021), conditioned on
the sentence at every position.

Each tap of the trunk goes through a fixed random projection (cross-channel mixing) to a small head
of its own. A head's realness map gets, at each position, the inner product of its features with the
projected sentence added, so that a caption is checked where its words belong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLite0, load_imagenet
from models.errors import ModelsError
from models.layers import conv, linear

_SLOPE = 0.2
_GROUP = 4  # pictures that the minibatch deviation compares
_TRUNK_BLOCKS = 16  # of EfficientNet-Lite0


@dataclass(frozen=True)
class ProjectedConfig:
    """input_size: side to which pictures are brought; taps: trunk blocks (0–15) with a head each;
    mixed: channels after the fixed projection; width: channels of a head; deepest: side of the
    smallest map of a head; text: weight of the sentence; sentence: its length.
    """

    input_size: int = 96
    taps: tuple[int, ...] = (0, 2, 4, 10)
    mixed: int = 64
    width: int = 96
    deepest: int = 6
    text: float = 1.0
    sentence: int = 256


class Head(nn.Module):
    """Projected features of one tap to a map of realness, alone and with the sentence."""

    def __init__(self, config: ProjectedConfig, channels: int, side: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, config.mixed, 1, bias=False).requires_grad_(False)
        nn.init.normal_(self.mix.weight, std=channels**-0.5)
        width = config.mixed
        layers: list[nn.Module] = []
        while side > config.deepest or not layers:
            layers.append(conv(width, config.width, 3, spectral=True))
            width, side = config.width, side // 2 if side > config.deepest else side
        self.body = nn.ModuleList(layers)
        self.deepest = config.deepest
        self.last = conv(width + 1, config.width, 3, spectral=True)
        self.real = conv(config.width, 1, 1, spectral=True)
        self.sentence = linear(config.sentence, config.width, spectral=True)
        self.text = config.text

    def features(self, tap: Tensor) -> Tensor:
        """[B,channels,s,s] → [B,width,t,t]."""
        h = self.mix(tap)
        for layer in self.body:
            h = functional.leaky_relu(layer(h), _SLOPE)
            if h.shape[-1] > self.deepest:
                h = functional.avg_pool2d(h, 2)
        return functional.leaky_relu(self.last(_with_deviation(h)), _SLOPE)

    def logits(self, features: Tensor, sentence: Tensor) -> Tensor:
        """[B,t·t]."""
        alone = self.real(features).flatten(1)
        query = functional.normalize(self.sentence(sentence), dim=1)
        matched = torch.einsum("bchw,bc->bhw", features, query.to(features.dtype)).flatten(1)
        return (alone + self.text * matched).float()


class ProjectedDiscriminator(nn.Module):
    """Pictures and sentences to logits at many positions; the trunk is ImageNet's and frozen."""

    def __init__(self, config: ProjectedConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = EfficientNetLite0(max(config.taps))
        load_imagenet(self.trunk)
        self.trunk.eval().requires_grad_(False)
        sides = [_side(self.trunk, tap, config.input_size) for tap in config.taps]
        widths = [self.trunk.widths[tap] for tap in config.taps]
        self.heads = nn.ModuleList(
            Head(config, width, side) for width, side in zip(widths, sides, strict=True)
        )

    def train(self, mode: bool = True) -> ProjectedDiscriminator:
        """The frozen trunk stays in eval mode: its batch statistics are ImageNet's."""
        super().train(mode)
        self.trunk.eval()
        return self

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Pictures [B,3,S,S] in [-1,1] → one map of features per head."""
        size = (self.config.input_size, self.config.input_size)
        if images.shape[-1] != self.config.input_size:
            images = functional.interpolate(images, size, mode="bilinear", align_corners=False)
        taps = self.trunk(images, self.config.taps)
        return tuple(
            head.features(taps[tap])  # type: ignore[operator]
            for head, tap in zip(self.heads, self.config.taps, strict=True)
        )

    def logits(self, features: tuple[Tensor, ...], sentence: Tensor) -> Tensor:
        """[B,positions of all heads]; heads weigh the same, whatever their maps' size."""
        maps = [
            head.logits(found, sentence)  # type: ignore[operator]
            for head, found in zip(self.heads, features, strict=True)
        ]
        return torch.cat(maps, 1)


def build_projected(options: Any, sentence: int) -> ProjectedDiscriminator:
    """By a training's options: discriminator_size, ndf and, where it has them, taps, text."""
    config = ProjectedConfig(
        input_size=options.discriminator_size, width=options.ndf, sentence=sentence
    )
    if hasattr(options, "taps"):
        config = replace(config, taps=trunk_taps(options.taps), text=options.text)
    return ProjectedDiscriminator(config)


def trunk_taps(given: str) -> tuple[int, ...]:
    """Blocks of the trunk, in order, from the comma separated form that options have."""
    try:
        taps = tuple(int(part) for part in given.split(","))
    except ValueError:
        taps = ()
    if not taps or any(not 0 <= tap < _TRUNK_BLOCKS for tap in taps):
        raise ModelsError(f"taps are numbers from 0 to {_TRUNK_BLOCKS - 1}, not {given!r}.")
    return tuple(sorted(set(taps)))


def _with_deviation(h: Tensor) -> Tensor:
    """One more channel: how much the pictures of a group differ (Karras et al. 2018)."""
    b, _, height, width = h.shape
    group = _GROUP if b % _GROUP == 0 else b
    x = h.float().view(b // group, group, *h.shape[1:])
    spread = (x.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    channel = spread.repeat_interleave(group)[:, None, None, None].expand(b, 1, height, width)
    return torch.cat([h, channel.to(h.dtype)], 1)


def _side(trunk: EfficientNetLite0, tap: int, input_size: int) -> int:
    with torch.no_grad():
        return int(trunk(torch.zeros(1, 3, input_size, input_size), (tap,))[tap].shape[-1])
