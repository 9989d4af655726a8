"""SISGAN's networks (paper section 3.2) and its reader of sentences. Keys as published."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from models.layers import conv3, halve, leaky
from models.manipulation.autoencoder import (
    Edited,
    Editor,
    Residual,
    decoder,
    encoder,
    gru_states,
    tile,
)

_VGG = (64, 64, "M", 128, 128, "M", 256, 256, 256, 512, 512, 512)  # the third pooling left out
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in [0,1]


@dataclass(frozen=True)
class SisganConfig:
    """size: of the pictures; ngf: channels at full size; blocks: residual ones; condition: of the
    sentence's distribution; sentence: of its vector; words: of a word's vector, 0 where a DAMSM
    text encoder reads the sentence; vgg: whether the encoder is VGG-16's first ten convolutions.
    The defaults are the published model's without VGG.
    """

    size: int = 64
    ngf: int = 128
    blocks: int = 4
    condition: int = 128
    sentence: int = 300
    words: int = 300
    vgg: bool = False


@dataclass(frozen=True)
class SisganDiscriminatorConfig:
    """For pictures of 64 pixels."""

    ndf: int = 64
    condition: int = 128
    sentence: int = 300


class SentenceEncoder(nn.Module):
    """A sentence as the last state of a recurrent cell (Kiros et al. 2014)."""

    def __init__(self, words: int, sentence: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(words, sentence)

    def forward(self, vectors: Tensor, pad: Tensor) -> Tensor:
        """Word vectors [B,T,words] and pad bool [B,T] → [B,sentence]."""
        return gru_states(self.cell, vectors, pad)[:, -1]


class VggEncoder(nn.Sequential):
    """VGG-16 with batch norms up to conv4_3's activation, at a quarter of the side; never trained,
    its statistics ImageNet's. The authors meant to dilate the last three convolutions, and set that
    on their norms instead.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__(*make_layers(list(_VGG), batch_norm=True))
        self.requires_grad_(False).eval()
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> VggEncoder:
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """images [B,3,S,S] in [-1,1] → [B,512,S/4,S/4]."""
        return super().forward(((images + 1) / 2 - self.mean) / self.deviation)


class SisganGenerator(Editor):
    """Photos and sentences to edited photos."""

    skip = False

    def __init__(self, config: SisganConfig) -> None:
        super().__init__(config.sentence, config.condition, bias=False)
        self.config = config
        widths = [config.ngf << k for k in range(3)]
        seen, top = 512 if config.vgg else widths[-1], widths[-1]
        self.encoder = VggEncoder() if config.vgg else encoder(widths)
        joint = conv3(seen + config.condition, top), nn.BatchNorm2d(top)
        blocks = (Residual(top, nn.ReLU(inplace=True)) for _ in range(config.blocks))
        self.residual_blocks = nn.Sequential(*joint, *blocks)
        self.decoder = decoder(widths[::-1])

    def forward(self, images: Tensor, sentence: Tensor, noise: Tensor) -> Edited:
        """images [B,3,S,S] in [-1,1], S a multiple of 4; noise [B,condition] from N(0,1)."""
        return self.edit(images, sentence, noise)


class SisganDiscriminator(nn.Module):
    """Whether a picture is real and shows what a sentence says."""

    def __init__(self, config: SisganDiscriminatorConfig) -> None:
        super().__init__()
        self.config, d = config, config.ndf
        top, inside = 8 * d, 2 * d
        first = [*halve(3, d, norm=False, bias=True), *halve(d, 2 * d), *halve(2 * d, 4 * d)]
        self.encoder = nn.Sequential(*first, *halve(4 * d, top)[:2])
        self.residual_branch = nn.Sequential(
            nn.Conv2d(top, inside, 1, bias=False),
            nn.BatchNorm2d(inside),
            leaky(),
            conv3(inside, inside),
            nn.BatchNorm2d(inside),
            leaky(),
            conv3(inside, top),
            nn.BatchNorm2d(top),
        )
        self.compression = nn.Sequential(nn.Linear(config.sentence, config.condition), leaky())
        joint = nn.Conv2d(top + config.condition, top, 1, bias=False)
        self.classifier = nn.Sequential(joint, nn.BatchNorm2d(top), leaky(), nn.Conv2d(top, 1, 4))
        self.activation = leaky()

    def forward(self, images: Tensor, sentence: Tensor) -> Tensor:
        """images [B,3,64,64] in [-1,1] and sentence [B,sentence] → logits [B]."""
        found = self.encoder(images)
        found = self.activation(found + self.residual_branch(found))
        logits: Tensor = self.classifier(tile(found, self.compression(sentence)))
        return logits.flatten()
