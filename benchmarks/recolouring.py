"""Where edits of bird photos change them, and whether light birds become black and dark ones white.
Held-out photos of the split validation; the bird is what is unlike its photo's corners.

Usage: ``python -m benchmarks.recolouring BUNDLE [BUNDLE …] --data CUB_200_2011 [--samples N]
[--sheets DIR]``.

Per bundle and question: mean change (absolute, on [0,1]) inside and outside of the bird, and the
bird's brightness before and after. Questions: captions of other classes, for the first photos;
"all black", for the photos with the lightest birds; "all white", for those with the darkest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.fills import on_unit, sheet
from models.bundle import Bundle
from models.evaluation.run import Options, open_held_out
from models.evaluation.runner import Runner
from models.item import Item
from models.manipulation.saliency import unlike_corners
from models.pipeline import to_tensor
from models.registry import load
from models.training.parts import Encoders

Floats = NDArray[np.float32]
FOUND = 400  # photos among which light and dark birds are looked for
INSIDE, OUTSIDE = 0.7, 0.2  # of a soft outline
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_ALL = "this bird is all {0} with a {0} head, {0} wings and a {0} belly"


@dataclass(frozen=True)
class Question:
    """photos, the text for each of them, and where the bird is, float32 [N,S,S] in [0,1]."""

    name: str
    photos: list[Image.Image]
    texts: list[str]
    birds: Floats


def outlines(photos: Sequence[Image.Image], folder: Path) -> Floats:
    """By the image encoder of the bundle in ``folder``."""
    encoder = Encoders(folder).image
    images = to_tensor(np.stack([np.asarray(p) for p in photos]), torch.device("cpu"))
    with torch.no_grad():
        found = [unlike_corners(encoder.photo(x).regions, x.shape[-1]) for x in images.split(50)]
    return torch.cat(found)[:, 0].numpy()


def brightness(pictures: Floats, birds: Floats) -> Floats:
    """float32 [N], of the bird."""
    inside = birds > INSIDE
    return np.array([(p @ _LUMA)[b].mean() for p, b in zip(pictures, inside, strict=True)])


def questions(arguments: argparse.Namespace) -> list[Question]:
    first, n = arguments.bundles[0], arguments.samples
    data = open_held_out(arguments.data, Bundle.open(first), Options(split="validation"))
    cases = data.manipulation(FOUND, Bundle.open(first).task("manipulate").size)
    photos = [c.picture for c in cases]
    birds = outlines(photos, first)
    order = np.argsort(brightness(on_unit(photos), birds))
    asked = [("other captions", np.arange(n), [c.caption for c in cases[:n]])]
    asked.append(("light to black", order[::-1][:n], [_ALL.format("black")] * n))
    asked.append(("dark to white", order[:n], [_ALL.format("white")] * n))
    return [Question(name, [photos[k] for k in ks], texts, birds[ks]) for name, ks, texts in asked]


def line(question: Question, made: Floats) -> str:
    before, birds = on_unit(question.photos), question.birds
    change = np.abs(made - before).mean(-1)
    inside, outside = change[birds > INSIDE].mean(), change[birds < OUTSIDE].mean()
    light = [brightness(x, birds).mean() for x in (before, made)]
    return (
        f"{question.name}: change inside {inside:.3f}, outside {outside:.3f}, of it "
        f"{outside / inside:.2f}; brightness {light[0]:.3f} to {light[1]:.3f}"
    )


def main(arguments: argparse.Namespace) -> None:
    for question in questions(arguments):
        rows: list[Sequence[Image.Image]] = [question.photos]
        for folder in arguments.bundles:
            asked = [
                Item(text, k, images={"image": photo}, fidelity="photo")
                for k, (photo, text) in enumerate(zip(question.photos, question.texts, strict=True))
            ]
            made = Runner(load(folder, "manipulate", None, "cpu")).run(asked)
            sys.stdout.write(f"{folder} {line(question, on_unit(made))}\n")
            rows.append(made)
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            name = question.name.replace(" ", "-")
            sheet(rows).save(arguments.sheets / f"recolouring-{name}.png")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Where edits of bird photos change them.")
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--data", required=True, help="folder of CUB-200-2011")
    parser.add_argument("--samples", type=int, default=48, help="photos per question")
    parser.add_argument("--sheets", type=Path, help="folder for a sheet of each question")
    return parser


if __name__ == "__main__":
    main(_parser().parse_args())
