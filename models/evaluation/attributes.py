"""The attribute reader: a small network that says which of ten colours each part of a bird has.

It judges generated pictures and never gives a training signal: nothing under ``models/training``
imports this module, and :class:`AttributeReader` runs without gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.data.aviary.drawing import COLOUR_NAMES, PARTS, Bird
from models.evaluation.evaluator_files import load_network
from models.evaluation.pictures import resize

SIDE = 64  # pixels at which the reader looks


def conv(a: int, b: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3×3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(a, b, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(b),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two 3×3 convolutions beside a skip; [B,C,H,W] → the same shape."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels, dilation=dilation), conv(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class AttributeNet(nn.Module):
    """Where each part is (an attention map), then which colour is there.

    About 230,000 parameters, an hourglass of plain convolutions: no relation to the EfficientNet
    trunks that discriminators and encoders train on.
    """

    def __init__(self, width: int = 32, deep: int = 56) -> None:
        super().__init__()
        self.stem = conv(3, width // 2)
        self.fine = nn.Sequential(conv(width // 2, width, 2), Residual(width))
        self.coarse = nn.Sequential(
            conv(width, deep, 2), Residual(deep, 2), conv(deep, deep, 2), Residual(deep)
        )
        self.mix = conv(width + deep, deep)
        self.places = nn.Conv2d(deep, len(PARTS), 1)
        self.hidden = nn.Linear(width + deep, 64)
        self.colours = nn.Linear(64, len(COLOUR_NAMES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B,3,64,64] in [-1,1] → (logits [B,6,10], log attention [B,6,32,32])."""
        fine = self.fine(self.stem(images))
        side = (fine.shape[-2], fine.shape[-1])
        coarse = functional.interpolate(
            self.coarse(fine), side, mode="bilinear", align_corners=False
        )
        mixed = self.mix(torch.cat([fine, coarse], 1))
        places = self.places(mixed).flatten(2).log_softmax(2)
        seen = torch.cat([fine, mixed], 1).flatten(2)
        pooled = places.exp() @ seen.transpose(1, 2)
        logits = self.colours(functional.relu(self.hidden(pooled)))
        return logits, places.unflatten(2, side)


@dataclass(frozen=True)
class AttributeReader:
    """A loaded attribute reader. sha256: of its weights file; accuracy: on held-out renders."""

    network: AttributeNet
    sha256: str
    accuracy: float

    @torch.inference_mode()
    def read(self, images: Tensor) -> Tensor:
        """Pictures float32 [N,3,S,S] in [-1,1], any S → int64 [N,6], COLOUR_NAMES of PARTS."""
        return self.network(resize(images, SIDE))[0].argmax(2)


def load_reader(folders: Sequence[Path] | None = None) -> AttributeReader:
    """See :func:`models.evaluation.evaluator_files.read_evaluator`."""
    network = AttributeNet()
    found = load_network(folders, "attributes", network)
    return AttributeReader(network, str(found["sha256"]), float(found["accuracy"]))


def colour_indices(birds: Sequence[Bird]) -> NDArray[np.int64]:
    """int64 [N,6]: the true colours, as :meth:`AttributeReader.read` gives them."""
    return np.array([[COLOUR_NAMES.index(c) for c in b.colours] for b in birds], np.int64)


def named_parts(parts: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """bool [N,6]: which of PARTS each caption names."""
    return np.array([[p in names for p in PARTS] for names in parts], bool)
