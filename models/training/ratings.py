"""A bundle's rating head: pictures that a bundle made are rated by people, and the head learns to
rate others.

A folder of ratings holds sheets of 8×8 pictures, ``NAME.webp``, and beside each ``NAME.txt`` with
8 lines of 8 ratings from 0 to 9. Pictures made by one bundle teach those that follow it as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.bundle import Bundle, save_task
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.rating_head import ROLE, RatingHead, fit, pool
from models.damsm.word_regions import PART, WordRegions
from models.data.opening import open_photos
from models.data.photos import Photos
from models.errors import InputProblem, ModelsError
from models.pipeline import Item, OutputWithAttention, Pixels, to_tensor
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from models.training.run import grid

_ACROSS = 8  # pictures along a side of a sheet
_BEST = 9
_HELD_OUT = 5  # parts: each in turn is left out to learn how well the others predict it
_QUALITY = 90


@dataclass(frozen=True)
class SheetOptions:
    """sheets: of 64 pictures each; noise_scale: of the pictures, as varied as those to choose
    among; seed: of captions and noise.
    """

    sheets: int = 8
    noise_scale: float = 0.9
    seed: int = 0
    device: str = "cpu"


def draw_sheets(folder: Path, where: str, out: Path, options: SheetOptions) -> None:
    """Draw what is to be rated with the bundle in ``folder``, at its network's own size; where: a
    data folder, for its training captions. Raises ModelsError.
    """
    pipeline = _synthesis(folder, options.device)
    size = pipeline.spec.size
    captions = _captions(pipeline, open_photos(where, size=size), options.seed)
    out.mkdir(parents=True, exist_ok=True)
    for number in range(options.sheets):
        made = [_draw(pipeline, next(captions), number, k, options) for k in range(_ACROSS**2)]
        pictures = to_tensor(np.stack(made), torch.device("cpu"))
        grid(pictures, _ACROSS).save(out / f"{number}.webp", quality=_QUALITY, method=6)


def _draw(
    pipeline: SynthesisPipeline, text: str, sheet: int, cell: int, options: SheetOptions
) -> Pixels:
    seed = (options.seed + sheet) * _ACROSS**2 + cell
    item = Item(text, seed, size=pipeline.spec.size, noise_scale=options.noise_scale)
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
            if _is_known(pipeline, text):
                known += 1
                yield text
        if not known:
            raise ModelsError("The bundle knows no word of the data's captions.")


def _is_known(pipeline: SynthesisPipeline, text: str) -> bool:
    try:
        return bool(pipeline.encode(text).ids)
    except InputProblem:
        return False


def learn_ratings(folder: Path, rated: Path, weight: float, device: str) -> float:
    """Add the head to the bundle in ``folder``. rated: a folder of ratings; weight: of the step
    from the lowest rating to the highest, beside a cosine.

    Returns the correlation of ratings with what heads say that did not learn them. Raises
    ModelsError for a bundle without encoders, and for ratings that can't be read.
    """
    pipeline = _synthesis(folder, device)
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


def _synthesis(folder: Path, device: str) -> SynthesisPipeline:
    pipeline = load(folder, "synthesize", None, device)
    assert isinstance(pipeline, SynthesisPipeline)  # noqa: S101 (that is its task)
    return pipeline


def _encoder(pipeline: SynthesisPipeline) -> CompactImageEncoder:
    encoders: WordRegions | None = pipeline.encoders
    if encoders is None or not isinstance(encoders.image, CompactImageEncoder):
        raise ModelsError(
            f"Bundle {pipeline.bundle.name!r} needs a compact image encoder (its part {PART!r})."
        )
    return encoders.image


def read_ratings(folder: Path) -> tuple[Tensor, Tensor]:
    """Pictures [N,3,S,S] in [-1,1] and their ratings [N] in [0,1]. Raises ModelsError."""
    sheets = sorted(folder.glob("*.webp"))
    if not sheets:
        raise ModelsError(f"{folder} has no sheets (NAME.webp) to learn from.")
    pictures = [_cut(sheet) for sheet in sheets]
    if len({len(x[0][0]) for x in pictures}) > 1:
        raise ModelsError(f"The sheets in {folder} hold pictures of several sizes; keep one.")
    ratings = torch.cat([_read_text(sheet.with_suffix(".txt")) for sheet in sheets])
    if len(ratings.unique()) == 1:
        raise ModelsError(f"All ratings in {folder} are the same: there is nothing to learn.")
    return torch.cat(pictures), ratings


def _cut(sheet: Path) -> Tensor:
    """The 64 pictures of a sheet, row by row."""
    with Image.open(sheet) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    side = pixels.shape[0] // _ACROSS
    if not side or pixels.shape != (side * _ACROSS, side * _ACROSS, 3):
        raise ModelsError(f"{sheet} is not {_ACROSS} rows of {_ACROSS} square pictures.")
    cells = pixels.reshape(_ACROSS, side, _ACROSS, side, 3).swapaxes(1, 2)
    levels = cells.reshape(-1, side, side, 3).astype(np.float32) / np.float32(255)
    return to_tensor(levels, torch.device("cpu"))


def _read_text(path: Path) -> Tensor:
    rows = [line.split() for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    digits = {str(k) for k in range(_BEST + 1)}
    if [len(row) for row in rows] != [_ACROSS] * _ACROSS or any(set(row) - digits for row in rows):
        raise ModelsError(
            f"{path} needs {_ACROSS} lines of {_ACROSS} ratings from 0 to {_BEST}, with spaces "
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
