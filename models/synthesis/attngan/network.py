"""AttnGAN's generator (paper section 3.1): a first stage from sentence and noise, and further ones
of twice the size that attend to the words. Keys as published.

Canonical behaviour is the reference at batch size one: attention masks are per sample.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.manipulation.manigan.blocks import (
    Conditioning,
    ResBlock,
    SpatialAttention,
    ToPixels,
    up_block,
)
from models.manipulation.manigan.network import FirstStage

_NORM = "batch"


@dataclass(frozen=True)
class AttnganConfig:
    """base: side of the first stage's picture; stages: pictures, each twice as large as the one
    before; blocks: residual ones per stage. The defaults are the published bird model, 256×256.
    """

    ngf: int = 32
    base: int = 64
    stages: int = 3
    blocks: int = 2
    z: int = 100
    condition: int = 100
    text: int = 256

    @property
    def size(self) -> int:
        return self.base << (self.stages - 1)


@dataclass(frozen=True)
class AttnganOutput:
    """pictures [B,3,s,s] in [-1,1] of every stage, or the last alone; attention [B,L,s,s] over
    words of every stage but the last; mu, logvar [B,condition].
    """

    pictures: tuple[Tensor, ...]
    attention: tuple[Tensor, ...]
    mu: Tensor
    logvar: Tensor


class NextStage(nn.Module):
    """Features and words to features of twice the size."""

    def __init__(self, config: AttnganConfig) -> None:
        super().__init__()
        g = config.ngf
        self.att = SpatialAttention(g, config.text)
        self.residual = nn.Sequential(*(ResBlock(2 * g, _NORM) for _ in range(config.blocks)))
        self.upsample = up_block(2 * g, g, kind=_NORM)

    def forward(self, h: Tensor, words: Tensor, pad: Tensor) -> tuple[Tensor, Tensor]:
        context, maps = self.att(h, words, pad)
        return self.upsample(self.residual(torch.cat([h, context.to(h.dtype)], 1))), maps


class AttnganGenerator(nn.Module):
    """``G_NET``."""

    def __init__(self, config: AttnganConfig) -> None:
        super().__init__()
        self.config = config
        self.ca_net = Conditioning(config.text, config.condition)
        entry = config.condition + config.z
        self.h_net1 = FirstStage(config.ngf, config.base, entry, _NORM)
        for k in range(1, config.stages + 1):
            if k > 1:
                self.add_module(f"h_net{k}", NextStage(config))
            self.add_module(f"img_net{k}", ToPixels(config.ngf))

    def forward(
        self,
        z: Tensor,
        noise: Tensor,
        words: Tensor,
        sentence: Tensor,
        pad: Tensor,
        every_stage: bool = True,
    ) -> AttnganOutput:
        """z [B,z] and noise [B,condition] from N(0,1), in evaluation, too; words [B,text,L];
        sentence [B,text]; pad bool [B,L], True where there is no word.
        """
        condition, mu, logvar = self.ca_net(sentence, noise)
        h = self.h_net1(torch.cat([condition, z], 1))
        pictures, attention = [], []
        for k in range(1, self.config.stages + 1):
            if k > 1:
                h, maps = self.get_submodule(f"h_net{k}")(h, words, pad)
                attention.append(maps)
            if every_stage or k == self.config.stages:
                pictures.append(self.get_submodule(f"img_net{k}")(h).float())
        return AttnganOutput(tuple(pictures), tuple(attention), mu, logvar)
