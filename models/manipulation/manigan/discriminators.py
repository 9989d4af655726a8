"""ManiGAN's discriminators, one per resolution, with and without sentence. Keys as published."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import conv3, halve, leaky

_SMALLEST = 64  # side from which a discriminator can look


def _same(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(conv3(a, b), nn.BatchNorm2d(b), leaky())


class Head(nn.Module):
    """Features [B,8·ndf,4,4] to one probability each, with ``text`` of the sentence too."""

    def __init__(self, channels: int, text: int = 0) -> None:
        super().__init__()
        if text:
            self.jointConv = _same(channels + text, channels)
        self.outlogits = nn.Sequential(nn.Conv2d(channels, 1, 4, 4), nn.Sigmoid())

    def forward(self, features: Tensor, sentence: Tensor | None = None) -> Tensor:
        if sentence is not None:
            tiled = sentence[:, :, None, None].expand(-1, -1, *features.shape[2:])
            features = self.jointConv(torch.cat([features, tiled], 1))
        return self.outlogits(features).flatten()


class ManiganDiscriminator(nn.Module):
    """Pictures of ``size`` (64, 128 or 256 as published; smaller ones are enlarged to 64) to
    features and two probabilities.
    """

    def __init__(self, size: int = 256, ndf: int = 64, text: int = 256) -> None:
        super().__init__()
        d, size = ndf, max(size, _SMALLEST)
        first = [
            *halve(3, d, norm=False),
            *halve(d, 2 * d),
            *halve(2 * d, 4 * d),
            *halve(4 * d, 8 * d),
        ]
        self.img_code_s16 = nn.Sequential(*first)
        extra = int(log2(size)) - 6
        if extra >= 1:
            self.img_code_s32 = nn.Sequential(*halve(8 * d, 16 * d))
        if extra == 1:
            self.img_code_s32_1 = _same(16 * d, 8 * d)
        if extra == 2:
            self.img_code_s64 = nn.Sequential(*halve(16 * d, 32 * d))
            self.img_code_s64_1 = _same(32 * d, 16 * d)
            self.img_code_s64_2 = _same(16 * d, 8 * d)
        self.UNCOND_DNET = Head(8 * d)
        self.COND_DNET = Head(8 * d, text)

    def features(self, images: Tensor) -> Tensor:
        """[B,3,size,size] in [-1,1] → [B,8·ndf,4,4]."""
        if images.shape[-1] < _SMALLEST:
            images = functional.interpolate(images, (_SMALLEST, _SMALLEST), mode="bilinear")
        for name, layer in self.named_children():
            if name.startswith("img_code"):
                images = layer(images)
        return images

    def forward(self, images: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of being real: [B] alone, [B] together with the sentence [B,text]."""
        features = self.features(images)
        return self.UNCOND_DNET(features), self.COND_DNET(features, sentence)
