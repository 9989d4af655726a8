"""Sheets of pictures that a bundle makes of training captions: for people to rate
(:mod:`models.training.ratings`), and for its detail stage to learn from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.data.opening import open_photos
from models.data.photos import Photos
from models.data.sheets import SIDE
from models.errors import ModelsError
from models.pipeline import Item, OutputWithAttention, Pixels, to_tensor
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from models.training.run import grid


def open_synthesis(folder: Path, device: str) -> SynthesisPipeline:
    """The pipeline of a bundle's synthesis. Raises ModelsError."""
    pipeline = load(folder, "synthesize", None, device)
    assert isinstance(pipeline, SynthesisPipeline)  # noqa: S101 (that is its task)
    return pipeline


@dataclass(frozen=True)
class SheetOptions:
    """sheets: of 64 pictures each; noise_scale, candidates: of each picture, by default as varied
    as those to choose among; seed: of captions and noise.
    """

    sheets: int = 8
    noise_scale: float = 0.9
    candidates: int = 1
    seed: int = 0
    device: str = "cpu"


def draw_sheets(folder: Path, where: str, out: Path, options: SheetOptions) -> None:
    """Draw sheets with the bundle in ``folder``, at its network's own size; where: a data folder,
    for its training captions. Raises ModelsError.
    """
    pipeline = open_synthesis(folder, options.device)
    size = pipeline.spec.size
    captions = _captions(pipeline, open_photos(where, size=size), options.seed)
    for number in range(options.sheets):
        made = [_draw(pipeline, next(captions), number, k, options) for k in range(SIDE**2)]
        pictures = to_tensor(np.stack(made), torch.device("cpu"))
        out.mkdir(parents=True, exist_ok=True)  # once there is something to write
        grid(pictures, SIDE).save(out / f"{number:03}.webp", lossless=True)


def _draw(
    pipeline: SynthesisPipeline, text: str, sheet: int, cell: int, options: SheetOptions
) -> Pixels:
    seed = (options.seed + sheet) * SIDE**2 + cell
    item = Item(
        text,
        seed,
        size=pipeline.spec.size,
        noise_scale=options.noise_scale,
        candidates=options.candidates,
    )
    (made,) = pipeline.forward([pipeline.prepare(item)])
    return made.pixels if isinstance(made, OutputWithAttention) else made


def _captions(pipeline: SynthesisPipeline, photos: Photos, seed: int) -> Iterator[str]:
    """Captions that the bundle can read, of one photo after the other, for ever."""
    rng = np.random.default_rng(seed)
    while True:
        known = 0
        for index in rng.permutation(len(photos)):
            texts = photos.caption_texts(int(index))
            text = texts[int(rng.integers(len(texts)))]
            if pipeline.knows(text):
                known += 1
                yield text
        if not known:
            raise ModelsError("The bundle knows no word of the data's captions.")
