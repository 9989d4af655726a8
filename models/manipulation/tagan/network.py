"""TAGAN's generator and word-level discriminator (paper section 3). Keys as published."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.layers import conv3, halve, leaky
from models.manipulation.autoencoder import Edited, Editor, Residual, decoder, encoder, gru_states
from models.runtime.precision import autocast_disabled

_TINY = 1e-7  # added to every word's score, so that its logarithm exists


@dataclass(frozen=True)
class TaganConfig:
    """size: of the pictures; ngf: channels at full size; blocks: residual ones; condition: of the
    sentence's distribution; words: of a word's vector; hidden: of the recurrent cells. The
    defaults are the published model's.
    """

    size: int = 128
    ngf: int = 64
    blocks: int = 4
    condition: int = 128
    words: int = 300
    hidden: int = 512


@dataclass(frozen=True)
class TaganDiscriminatorConfig:
    """stages: scales at which words are looked for; pictures have 16 << stages pixels."""

    ndf: int = 64
    stages: int = 3
    words: int = 300
    hidden: int = 512


class _Reader(nn.Module):
    """Two recurrent cells; a subclass reads captions through them."""

    txt_encoder_f: nn.GRUCell
    txt_encoder_b: nn.GRUCell

    def _add_cells(self, words: int, hidden: int) -> None:
        self.txt_encoder_f = nn.GRUCell(words, hidden)
        self.txt_encoder_b = nn.GRUCell(words, hidden)

    def read(self, vectors: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
        """Word vectors [B,T,words], pad bool [B,T] → words [B,T,hidden], zero where padded, and
        their mean [B,hidden]; float32.
        """
        ahead = gru_states(self.txt_encoder_f, vectors, pad)
        back = gru_states(self.txt_encoder_b, vectors, pad, backward=True)
        words = ((ahead + back) / 2).masked_fill(pad[:, :, None], 0)
        return words, words.sum(1) / (~pad).sum(1, keepdim=True)


class TaganGenerator(Editor, _Reader):
    """Photos and captions to edited photos."""

    skip = True

    def __init__(self, config: TaganConfig) -> None:
        super().__init__(config.hidden, config.condition, bias=True)
        self.config = config
        widths = [config.ngf << k for k in range(4)]
        top = widths[-1]
        self.encoder = encoder(widths)
        joint = conv3(top + config.condition, top), nn.BatchNorm2d(top), nn.ReLU(inplace=True)
        blocks = (Residual(top, nn.Identity()) for _ in range(config.blocks))
        self.residual_blocks = nn.Sequential(*joint, *blocks)
        self.decoder = decoder(widths[::-1])
        self._add_cells(config.words, config.hidden)

    def forward(self, images: Tensor, vectors: Tensor, pad: Tensor, noise: Tensor) -> Edited:
        """images [B,3,S,S] in [-1,1], S a multiple of 8; vectors [B,T,words]; pad bool [B,T], True
        past a caption's end; noise [B,condition] from N(0,1).
        """
        return self.edit(images, self.read(vectors, pad)[1], noise)


class WordFilters(NamedTuple):
    """What a discriminator looks for. filters: per scale [B,T,C+1], the last number a bias; weights
    [B,T], of words; scales [B,T,stages], of scales for each word: both sum to 1.
    """

    filters: tuple[Tensor, ...]
    weights: Tensor
    scales: Tensor

    def rolled(self) -> WordFilters:
        """Each row gets those of the row before it, the first those of the last."""
        filters = tuple(f.roll(1, 0) for f in self.filters)
        return WordFilters(filters, self.weights.roll(1, 0), self.scales.roll(1, 0))


class TaganDiscriminator(_Reader):
    """Whether a picture is real, and whether it shows each of a caption's words."""

    def __init__(self, config: TaganDiscriminatorConfig) -> None:
        super().__init__()
        self.config, d = config, config.ndf
        widths = [4 * d, *[8 * d] * (config.stages - 1)]
        first = [*halve(3, d, norm=False, bias=True), *halve(d, 2 * d), *halve(2 * d, 4 * d)]
        self.encoder_1 = nn.Sequential(*first)
        for k, (a, b) in enumerate(pairwise(widths), 2):
            setattr(self, f"encoder_{k}", nn.Sequential(*halve(a, b)))
        for k, width in enumerate(widths, 1):
            pooled = nn.Sequential(conv3(width, width), nn.BatchNorm2d(width), leaky())
            setattr(self, f"GAP_{k}", pooled)
        self._add_cells(config.words, config.hidden)
        self.gen_filter = nn.ModuleList(nn.Linear(config.hidden, w + 1) for w in widths)
        self.gen_weight = nn.Sequential(nn.Linear(config.hidden, config.stages), nn.Softmax(-1))
        self.classifier = nn.Conv2d(widths[-1], 1, 4)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """images [B,3,S,S] in [-1,1] → logits [B], and what matches words, [B,C] per scale."""
        found = []
        for k in range(1, self.config.stages + 1):
            images = self.get_submodule(f"encoder_{k}")(images)
            found.append(self.get_submodule(f"GAP_{k}")(images).float().mean((2, 3)))
        return self.classifier(images).float().flatten(), tuple(found)

    def look_for(self, vectors: Tensor, pad: Tensor) -> WordFilters:
        """The filters of captions: vectors [B,T,words], pad bool [B,T]."""
        words, mean = self.read(vectors, pad)
        with autocast_disabled(words):
            scores = torch.einsum("bth,bh->bt", words, mean).masked_fill(pad, float("-inf"))
            filters = tuple(layer(words) for layer in self.gen_filter)
            return WordFilters(filters, scores.softmax(1), self.gen_weight(words))


def match(found: tuple[Tensor, ...], text: WordFilters) -> Tensor:
    """The share [B] in [0,1] that pictures and captions match (paper equation 4): the product over
    words of what is seen of each, to the power of the word's weight. Float32.
    """
    with autocast_disabled(text.weights):
        seen = [
            (torch.einsum("btc,bc->bt", f[..., :-1], v) + f[..., -1]).sigmoid()
            for f, v in zip(text.filters, found, strict=True)
        ]
        each = (torch.stack(seen, 2) * text.scales).sum(2) + _TINY
        return (text.weights * each.clamp(max=1).log()).sum(1).exp()
