"""A bundle's rating head: pictures that a bundle made are rated by people, and the head learns to
rate others.

A folder of ratings holds sheets (:mod:`models.data.sheets`) and beside each ``NAME.txt`` with
8 lines of 8 ratings from 0 to 9. Pictures made by one bundle teach those that follow it as well.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.bundle import Bundle, save_task
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.rating_head import ROLE, RatingHead, fit, pool
from models.damsm.word_regions import PART, WordRegions
from models.data.sheets import SIDE, list_sheets, read_sheets
from models.errors import ModelsError
from models.synthesis.pipeline import SynthesisPipeline
from models.training.sheets import open_synthesis

_BEST = 9
_HELD_OUT = 5  # parts: each in turn is left out to learn how well the others predict it


def learn_ratings(folder: Path, rated: Path, weight: float, device: str) -> float:
    """Add the head to the bundle in ``folder``. rated: a folder of ratings; weight: of the step
    from the lowest rating to the highest, beside a cosine.

    Returns the correlation of ratings with what heads say that did not learn them. Raises
    ModelsError for a bundle without encoders, and for ratings that can't be read.
    """
    pipeline = open_synthesis(folder, device)
    pictures, ratings = read_ratings(rated)
    image = _encoder(pipeline)
    features, mirrored = (_features(image, x) for x in (pictures, pictures.flip(3)))
    head = RatingHead.on(image.trunk, image.config.taps)
    predicted = torch.zeros(len(ratings))
    for left_out in torch.arange(len(ratings)).tensor_split(_HELD_OUT):
        kept = torch.ones(len(ratings), dtype=torch.bool).index_fill(0, left_out, value=False)
        fit(head, torch.cat([features[kept], mirrored[kept]]), ratings[kept].repeat(2), 1)
        predicted[left_out] = (features[left_out] * head.weight.detach()).sum(1)
    fit(head, torch.cat([features, mirrored]), ratings.repeat(2), weight)
    _add(pipeline.bundle, head)
    return float(torch.corrcoef(torch.stack([predicted, ratings]))[0, 1])


def _encoder(pipeline: SynthesisPipeline) -> CompactImageEncoder:
    encoders: WordRegions | None = pipeline.encoders
    if encoders is None or not isinstance(encoders.image, CompactImageEncoder):
        raise ModelsError(
            f"Bundle {pipeline.bundle.name!r} needs a compact image encoder (its part {PART!r})."
        )
    return encoders.image


def read_ratings(folder: Path) -> tuple[Tensor, Tensor]:
    """Pictures [N,3,S,S] in [-1,1] and their ratings [N] in [0,1]. Raises ModelsError."""
    pictures = read_sheets(folder)
    ratings = torch.cat([_read_text(p.with_suffix(".txt")) for p in list_sheets(folder)])
    if len(ratings.unique()) == 1:
        raise ModelsError(f"All ratings in {folder} are the same: there is nothing to learn.")
    return pictures, ratings


def _read_text(path: Path) -> Tensor:
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    rows = [line.split() for line in text.splitlines()]
    digits = {str(k) for k in range(_BEST + 1)}
    if [len(row) for row in rows] != [SIDE] * SIDE or any(set(row) - digits for row in rows):
        raise ModelsError(
            f"{path} needs {SIDE} lines of {SIDE} ratings from 0 to {_BEST}, with spaces "
            "between them."
        )
    return torch.tensor([[int(rating) for rating in row] for row in rows]).flatten() / _BEST


@torch.inference_mode()
def _features(image: CompactImageEncoder, pictures: Tensor, batch: int = 64) -> Tensor:
    device = next(image.parameters()).device
    return torch.cat([pool(image.taps(x.to(device))).cpu() for x in pictures.split(batch)])


def _add(bundle: Bundle, head: RatingHead) -> None:
    spec = bundle.task(PART)
    states = {role: bundle.state(PART, role) for role in spec.files} | {ROLE: head.state_dict()}
    raw = {key: value for key, value in spec.raw.items() if key != "files"}
    save_task(bundle.folder, PART, raw, states, half=True)
