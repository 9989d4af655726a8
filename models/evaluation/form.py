"""The form judge: a small network that says what each pixel of a drawn bird shows.

It is trained on renders and on collages of them, judges generated pictures and never gives a
training signal. :mod:`.anatomy` says from its labels whether a picture shows one whole bird.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.data.aviary.drawing import LABELS
from models.evaluation.anatomy import Anatomy, Labels
from models.evaluation.attributes import conv
from models.evaluation.evaluator_files import load_network
from models.evaluation.pictures import map_chunks, resize

SIDE = 64  # pixels at which the judge looks; a render reduced to it equals one drawn at it


class PartNet(nn.Module):
    """A segmenter with three scales (a U-Net, Ronneberger et al. 2015), about 230,000 parameters.

    Dilated convolutions at the coarsest scale see about half of the picture, so that a part is
    known by its neighbours and not only by its colour.
    """

    def __init__(self, width: int = 20, middle: int = 44, deep: int = 68) -> None:
        super().__init__()
        self.outer = conv(3, width)
        self.middle = nn.Sequential(conv(width, middle, 2), conv(middle, middle))
        self.inner = nn.Sequential(
            conv(middle, deep, 2), *(conv(deep, deep, dilation=d) for d in (2, 4, 2))
        )
        self.join_inner = conv(deep + middle, middle)
        self.join_middle = conv(middle + width, width + 4)
        self.labels = nn.Conv2d(width + 4, LABELS, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B,3,64,64] in [-1,1] → logits of what each pixel shows [B,10,64,64]."""
        outer = self.outer(images)
        middle = self.middle(outer)
        joined = self.join_inner(torch.cat([_upsample(self.inner(middle)), middle], 1))
        return self.labels(self.join_middle(torch.cat([_upsample(joined), outer], 1)))


def _upsample(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class FormEvaluator:
    """A loaded form judge. anatomy: what one whole bird looks like in labels; sha256: of its
    weights file; accuracy: share of pixels labelled right on held-out renders.
    """

    network: PartNet
    anatomy: Anatomy
    sha256: str
    accuracy: float

    @torch.inference_mode()
    def read(self, images: Tensor) -> Tensor:
        """Pictures float32 [N,3,S,S] in [-1,1], any S → uint8 [N,64,64], labels as
        :func:`models.data.aviary.drawing.label_map` gives them.
        """
        return self.network(resize(images, SIDE)).argmax(1).byte()

    def labels(self, pictures: Sequence[Image.Image]) -> Labels:
        """Labels uint8 [N,64,64] of pictures of one size."""
        return np.asarray(map_chunks(pictures, self.read).numpy(), np.uint8)


def load_form_evaluator(folders: Sequence[Path] | None = None) -> FormEvaluator:
    """See :func:`models.evaluation.evaluator_files.read_evaluator`."""
    network = PartNet()
    found = load_network(folders, "form", network)
    anatomy = Anatomy.of_facts(found["anatomy"])
    return FormEvaluator(network, anatomy, str(found["sha256"]), float(found["accuracy"]))
