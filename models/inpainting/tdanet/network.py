"""TDANet: an encoder with dual multimodal attention, and a generator that paints at several scales.

Masks are 1 = known. Keys as published, without the aliases under ``model`` and ``shortcut``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelsError
from models.inpainting.tdanet.blocks import (
    ContextAttention,
    FirstBlock,
    PartialBlock,
    ResBlock,
    ToPixels,
    UpBlock,
)
from models.inpainting.tdanet.convolutions import conv
from models.inpainting.tdanet.word_attention import NoWordAttention, WordAttention

_KNOWN = 1 - 1e-6  # resized masks of known cells may miss one by rounding


@dataclass(frozen=True)
class InpaintConfig:
    """encoder: channels after each halving; feature: which of these also feeds the generator;
    decoder: channels after each doubling, the last ``outputs`` of which paint a picture; z: latent
    channels; text: word and sentence features; refine: blocks before the prior. Defaults are the
    published network, 256×256.

    The last two are ablations. text_attention: False puts zeros in the place of sentence and word
    context. convolution: of the blocks that halve and refine; "plain"; "gated"; "dilated" in the
    deeper half of the halving blocks and in refinement; "partial" in all halving blocks, with
    plain refinement.
    """

    encoder: tuple[int, ...] = (32, 128, 256, 256, 256)
    feature: int = 2
    decoder: tuple[int, ...] = (256, 256, 128, 64, 32)
    outputs: int = 4
    z: int = 256
    text: int = 256
    refine: int = 6
    spectral: bool = True
    text_attention: bool = True
    convolution: str = "plain"

    def __post_init__(self) -> None:
        known = ("plain", "dilated", "gated", "partial")
        if self.convolution not in known:
            raise ModelsError(
                f"TDANet's convolution is {', '.join(known)}, not {self.convolution!r}."
            )

    def kind(self, level: int) -> str:
        """Which 3×3 convolutions the block that makes ``features[level]`` has; refinement counts as
        one level more than there are.
        """
        if self.convolution == "dilated":
            return "dilated" if 2 * level >= len(self.encoder) else "plain"
        refines = level == len(self.encoder)
        return "plain" if refines and self.convolution == "partial" else self.convolution

    @property
    def condition(self) -> int:
        """Channels of the encoder's summary: features, sentence and word context."""
        return self.encoder[-1] + 2 * self.text


@dataclass(frozen=True)
class Encoded:
    """features: every level; refined: the deepest after refinement; summary [B,condition,h,w]
    (f_text); mu, sigma [B,z,h,w] of the prior; attention [B,h·w,T] over words."""

    features: list[Tensor]
    summary: Tensor
    mu: Tensor
    sigma: Tensor
    attention: Tensor


def _halving(config: InpaintConfig, level: int) -> nn.Module:
    """The block that makes ``features[level]``; a partial one has a mask, too."""
    a, b = (3, *config.encoder)[level : level + 2]
    kind, spectral, first = config.kind(level), config.spectral, level == 0
    if kind == "partial":
        return PartialBlock(a, b, b if first else a, spectral, first)
    if first:
        return FirstBlock(a, b, spectral, kind)
    return ResBlock(a, b, a, spectral, down=True, kind=kind)


class FeatureEncoder(nn.Module):
    """Features of pictures at every halving, and what refines the deepest: what TDANet's encoder
    has of PICNet's. To be completed by ``prior`` and ``posterior``.
    """

    keep_in_fp32 = ("prior",)  # few cells, of which everything is made

    def __init__(self, config: InpaintConfig) -> None:
        super().__init__()
        self.config = config
        deep, spectral = config.encoder[-1], config.spectral
        self.block0 = _halving(config, 0)
        for k in range(len(config.encoder) - 1):
            self.add_module(f"encoder{k}", _halving(config, k + 1))
        kind = config.kind(len(config.encoder))
        for k in range(config.refine):
            self.add_module(f"infer_prior{k}", ResBlock(deep, deep, deep, spectral, kind=kind))

    def pyramid(self, images: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Features of every level of pictures [B,3,S,S] in [-1,1], holes filled with 0. mask
        [B,1,S,S] of what they show: only partial convolutions look at it.
        """
        if self.config.convolution == "partial":
            return self._renormalised(images, mask)
        features = [self.block0(images)]
        for k in range(len(self.config.encoder) - 1):
            features.append(self.get_submodule(f"encoder{k}")(features[-1]))
        return features

    def _renormalised(self, images: Tensor, mask: Tensor | None) -> list[Tensor]:
        if mask is None:
            raise ModelsError("Partial convolutions need the masks of their pictures.")
        features, x = [], images
        for name in ("block0", *(f"encoder{k}" for k in range(len(self.config.encoder) - 1))):
            x, mask = self.get_submodule(name)(x, mask)
            features.append(x)
        return features

    def refine(self, deepest: Tensor) -> Tensor:
        for k in range(self.config.refine):
            deepest = self.get_submodule(f"infer_prior{k}")(deepest)
        return deepest

    def distribution(self, block: nn.Module, summary: Tensor) -> tuple[Tensor, Tensor]:
        """(mu, sigma) by ``prior`` or ``posterior``."""
        mu, rho = block(summary).float().chunk(2, 1)
        return mu, functional.softplus(rho)


class InpaintEncoder(FeatureEncoder):
    """A masked picture and its caption to a latent distribution and a summary (``net_E``)."""

    def __init__(self, config: InpaintConfig) -> None:
        super().__init__(config)
        latent = 2 * config.z
        self.prior = ResBlock(config.condition, latent, latent, config.spectral)
        self.posterior = ResBlock(config.condition, latent, latent, config.spectral)
        self.word_attention = (
            WordAttention(config.encoder[-1], config.text)
            if config.text_attention
            else NoWordAttention()
        )

    def summarise(self, features: Tensor, sentence: Tensor, context: Tensor) -> Tensor:
        """features, sentence and context side by side [B,condition,h,w]."""
        if not self.config.text_attention:
            sentence, context = torch.zeros_like(sentence), torch.zeros_like(context)
        h, w = features.shape[-2:]
        tiled = [x[:, :, None, None].expand(-1, -1, h, w) for x in (sentence, context)]
        return torch.cat([features, *(t.to(features.dtype) for t in tiled)], 1)

    def cells(self, mask: Tensor, like: Tensor) -> Tensor:
        """Mask [B,1,S,S] at the deepest level, flat [B,h·w]; border cells are fractional."""
        size = like.shape[-2:]
        return functional.interpolate(mask, size, mode="bilinear", align_corners=True).flatten(1)

    def forward(
        self, images: Tensor, mask: Tensor, words: Tensor, sentence: Tensor, pad: Tensor
    ) -> Encoded:
        """The test-time path. images [B,3,S,S] in [-1,1]; mask [B,1,S,S]; pad bool [B,T]."""
        features = self.pyramid(images * mask, mask)
        keep = self.cells(mask, features[-1]) > _KNOWN
        context, attention = self.word_attention(features[-1], words, pad, keep, reverse=True)
        summary = self.summarise(self.refine(features[-1]), sentence, context)
        mu, sigma = self.distribution(self.prior, summary)
        return Encoded(features, summary, mu, sigma, attention)


class Painter(nn.Module):
    """Deep features to pictures from coarse to fine, the first level looking at known features:
    what TDANet's generator has of PICNet's. condition: channels of a summary beside the latent, 0
    for none.
    """

    keep_in_fp32: tuple[str, ...] = ("generator", "f_transformer")  # few cells make everything

    def __init__(self, config: InpaintConfig, condition: int = 0) -> None:
        super().__init__()
        self.config = config
        deep, spectral = config.encoder[-1], config.spectral
        self.generator = ResBlock(config.z, deep, deep, spectral)
        if condition:
            self.f_transformer = ResBlock(condition, deep, deep, spectral)
        self.first_output = len(config.decoder) - config.outputs
        width = deep
        for k, out in enumerate(config.decoder):
            self.add_module(f"decoder{k}", UpBlock(width, out, spectral))
            width = out
            if k == self.first_output:
                self.attn1 = ContextAttention(out, spectral)
            if k >= self.first_output:
                self.add_module(f"out{k - self.first_output + 1}", ToPixels(out, spectral))
                width += 3

    def paint(self, x: Tensor, known: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """x [B,encoder[-1],h,w]; known: encoder features; mask [B,1,S,S], 1 = known.

        Returns ``outputs`` pictures in [-1,1], each twice the size of the one before, the last at
        full size, and the features [B,decoder[-1],S,S] of which that one was made.
        """
        small = functional.interpolate(mask, known.shape[-2:], mode="bilinear", align_corners=True)
        pictures: list[Tensor] = []
        for k in range(len(self.config.decoder)):
            x = torch.cat([x, pictures[-1]], 1) if pictures else x
            x = self.get_submodule(f"decoder{k}")(x)
            if k == self.first_output:
                x = self.attn1(x, known, small.to(x.dtype))
            if k >= self.first_output:
                picture = self.get_submodule(f"out{k - self.first_output + 1}")(x)
                pictures.append(picture)
        return [p.float() for p in pictures], x


class InpaintGenerator(Painter):
    """Latent, summary and known features to pictures from coarse to fine (``net_G``)."""

    def __init__(self, config: InpaintConfig) -> None:
        super().__init__(config, config.condition)

    def forward(self, z: Tensor, summary: Tensor, known: Tensor, mask: Tensor) -> list[Tensor]:
        """z [B,z,h,w]; summary [B,condition,h,w]; the rest: see :meth:`Painter.paint`."""
        return self.forward_with_features(z, summary, known, mask)[0]

    def forward_with_features(
        self, z: Tensor, summary: Tensor, known: Tensor, mask: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """The pictures, and the features of which the last one was made."""
        x = self.f_transformer(summary) + self.generator(z.to(summary.dtype))
        return self.paint(x, known, mask)


def compose(out: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """The picture with its hole filled: known pixels exactly as they were."""
    return (1 - mask) * out + mask * images


def named_outputs(
    mu: Tensor, sigma: Tensor, pictures: list[Tensor], images: Tensor, mask: Tensor
) -> dict[str, Tensor]:
    """mu, sigma, out1 … of every size, and composed: the last one with the known pixels."""
    outs = {f"out{k}": picture for k, picture in enumerate(pictures, 1)}
    composed = compose(pictures[-1], images, mask)
    return {"mu": mu, "sigma": sigma, **outs, "composed": composed}


@dataclass(frozen=True)
class InpaintDiscriminatorConfig:
    """widths: after each halving; attention: on which; defaults are published (256×256)."""

    widths: tuple[int, ...] = (32, 64, 128, 128, 128)
    attention: int = 2
    spectral: bool = True


class InpaintDiscriminator(nn.Module):
    """Pictures to a map of raw realness scores (``net_D``)."""

    def __init__(self, config: InpaintDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        widths, spectral = config.widths, config.spectral
        self.block0 = FirstBlock(3, widths[0], spectral)
        for k, (a, b) in enumerate(pairwise(widths)):
            self.add_module(f"encoder{k}", ResBlock(a, b, a, spectral, down=True))
            if k + 1 == config.attention:
                self.add_module(f"attn{config.attention}", ContextAttention(b, spectral))
        self.block1 = ResBlock(widths[-1], widths[-1], widths[-1], spectral)
        self.conv = conv(widths[-1], 1, 3, spectral, padding=0)

    def forward(self, images: Tensor) -> Tensor:
        """images [B,3,S,S] in [-1,1] → [B,1,s,s] with s two less than the deepest level's side."""
        x = self.block0(images)
        for k in range(len(self.config.widths) - 1):
            x = self.get_submodule(f"encoder{k}")(x)
            if k + 1 == self.config.attention:
                x = self.get_submodule(f"attn{self.config.attention}")(x)
        x = self.block1(x)
        return self.conv(functional.leaky_relu(x, 0.1)).float()
