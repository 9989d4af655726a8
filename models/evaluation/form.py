"""The form judge: a small network that says what each pixel of a drawn bird shows.

It is trained on renders and on collages of them, judges generated pictures and never gives a
training signal. :mod:`.anatomy` says from its labels whether a picture shows one whole bird.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.bundle import load_strict
from models.data.aviary import LABELS
from models.errors import ModelsError
from models.evaluation.anatomy import Anatomy, Labels
from models.evaluation.attributes import conv
from models.evaluation.judge_files import add_entry, checked, entry, places
from models.evaluation.pictures import mapped, resized

SIDE = 64  # pixels at which the judge looks; a render reduced to it equals one drawn at it
COMMAND = "python -m models judge form --out weights/judges"


class NoFormJudge(ModelsError):
    """The weights of the form judge are missing; the text names the command to make them."""


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
        joined = self.join_inner(torch.cat([_doubled(self.inner(middle)), middle], 1))
        out: Tensor = self.labels(self.join_middle(torch.cat([_doubled(joined), outer], 1)))
        return out


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class FormJudge:
    """A loaded form judge. anatomy: what one whole bird looks like in labels; sha256: of its
    weights file; accuracy: share of pixels labelled right on held-out renders.
    """

    network: PartNet
    anatomy: Anatomy
    sha256: str
    accuracy: float

    @torch.inference_mode()
    def read(self, images: Tensor, batch: int = 64) -> Tensor:
        """Pictures float32 [N,3,S,S] in [-1,1], any S → uint8 [N,64,64], labels as
        :func:`models.data.aviary.label_map` gives them.
        """
        found = [self.network(resized(x, SIDE)).argmax(1).byte() for x in images.split(batch)]
        return torch.cat(found) if found else torch.zeros(0, SIDE, SIDE, dtype=torch.uint8)

    def labels(self, pictures: Sequence[Image.Image]) -> Labels:
        """Labels uint8 [N,64,64] of pictures of one size."""
        return np.asarray(mapped(pictures, self.read).numpy(), np.uint8)


def load_form_judge(folder: Path | None = None) -> FormJudge:
    """The form judge in ``folder``, else the shipped one, else that in the user's cache folder.

    Raises NoFormJudge when there is none, JudgeError when its file is damaged.
    """
    return find_form_judge(places(folder))


def find_form_judge(folders: Sequence[Path]) -> FormJudge:
    """The first form judge of these folders; errors as :func:`load_form_judge`."""
    for place in folders:
        found = entry(place, "form", "aviary")
        if found is None:
            continue
        state = safetensors.torch.load(checked(place, found))
        network = PartNet()
        floats = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        load_strict(network, floats, "the form judge")
        network.eval().requires_grad_(False)
        anatomy = Anatomy.of_facts(found["anatomy"])
        return FormJudge(network, anatomy, str(found["sha256"]), float(found["accuracy"]))
    raise NoFormJudge(f"There is no form judge; make one by `{COMMAND}`.")


def save_form_judge(folder: Path, network: PartNet, facts: dict[str, object]) -> Path:
    """Write the weights (float16 matrices) and their line in ``judges.json``; the file's path.

    facts: with the ``anatomy`` that :meth:`Anatomy.facts` gives, and the ``accuracy``.
    """
    state = {k: v.half() if v.ndim > 1 else v for k, v in network.state_dict().items()}
    data = safetensors.torch.save({k: v.contiguous() for k, v in state.items()})
    return add_entry(folder, "form", "aviary", "form", data, facts)
