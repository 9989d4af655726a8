"""How the fills of one hole differ, and how like the truth they are: the mean, which is a request's
first picture, beside drawn ones, its further pictures. Held-out pictures of the split validation.

Usage: ``python -m benchmarks.fills BUNDLE [BUNDLE …] [--data DIR] [--samples N] [--sheets DIR]``.

Per bundle and kind of hole: the difference of two drawn fills inside the hole (mean absolute, on
[0,1]); of the mean and of a drawn fill L1 and PSNR in the hole and edge strength there, as a share
of the truth's. A sheet has rows of holes, then of each bundle the mean and two drawn fills, then
the truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.bundle import Bundle
from models.evaluation.cases import Case
from models.evaluation.inpainting import KINDS, holed
from models.evaluation.run import Options, open_held_out
from models.evaluation.runner import Runner, items, photo_and_mask
from models.registry import load

Floats = NDArray[np.float32]
DRAWN = (0, 1, 2)  # indices of a request's pictures: the mean and two that are drawn
COLUMNS = 14


@dataclass(frozen=True)
class Truth:
    """pictures: float32 [N,S,S,3] in [0,1]; hole: bool [N,S,S]."""

    pictures: Floats
    hole: NDArray[np.bool_]

    def inside(self, values: Floats) -> float:
        """Mean over pictures of the mean of values [N,S,S] in each hole."""
        return float(np.mean([v[h].mean() for v, h in zip(values, self.hole, strict=True)]))

    def psnr(self, made: Floats) -> float:
        square = ((made - self.pictures) ** 2).mean(-1)
        each = [v[h].mean() for v, h in zip(square, self.hole, strict=True)]
        return float(np.mean(-10 * np.log10(each)))

    def edges(self, made: Floats) -> float:
        return self._strength(made) / self._strength(self.pictures)

    def _strength(self, pictures: Floats) -> float:
        across = np.abs(np.diff(pictures, axis=2)).mean(-1)[self.hole[:, :, 1:]]
        down = np.abs(np.diff(pictures, axis=1)).mean(-1)[self.hole[:, 1:]]
        return float(across.sum() + down.sum())


def on_unit(pictures: Sequence[Image.Image]) -> Floats:
    """float32 [N,S,S,3] in [0,1]."""
    return np.stack([np.asarray(p, np.float32) / 255 for p in pictures])


def fills(runner: Runner, cases: Sequence[Case]) -> list[list[Image.Image]]:
    """The pictures of each of DRAWN, every one with a seed of its own."""
    captions = [c.caption for c in cases]
    asked = [items(cases, captions, photo_and_mask, index) for index in DRAWN]
    return [
        runner.run([replace(item, seed=(item.seed + index) % 2**32) for item in row])
        for index, row in zip(DRAWN, asked, strict=True)
    ]


def line(made: Sequence[Floats], truth: Truth) -> str:
    differ = truth.inside(np.abs(made[1] - made[2]).mean(-1))
    words = [f"drawn fills differ by {differ:.4f}"]
    for name, pictures in (("mean", made[0]), ("drawn", made[1])):
        gap = truth.inside(np.abs(pictures - truth.pictures).mean(-1))
        numbers = (
            f"L1 {gap:.4f}, PSNR {truth.psnr(pictures):.2f}, edges {truth.edges(pictures):.3f}"
        )
        words.append(f"{name}: {numbers}")
    return "; ".join(words)


def main(arguments: argparse.Namespace) -> None:
    for kind in KINDS:
        rows: list[Sequence[Image.Image]] = []
        cases: list[Case] = []
        for folder in arguments.bundles:
            pipeline = load(folder, "inpaint", None, "cpu")
            runner = Runner(pipeline, serving={"fidelity": "photo"})
            options = Options(split="validation")
            data = open_held_out(arguments.data, Bundle.open(folder), options)
            cases = runner.understood(data.inpainting(arguments.samples, runner.size, kind))
            if not cases:
                break
            made = fills(runner, cases)
            masks = [np.asarray(c.mask) >= 128 for c in cases]
            truth = Truth(on_unit([c.picture for c in cases]), np.stack(masks))
            sys.stdout.write(f"{folder} {kind}: {line([on_unit(m) for m in made], truth)}\n")
            rows += made
        if arguments.sheets and cases:
            rows = [[holed(c) for c in cases], *rows, [c.picture for c in cases]]
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            sheet(rows).save(arguments.sheets / f"fills-{kind}.png")


def sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """The first pictures of each row, twice as large."""
    tiles = [np.concatenate([np.asarray(p) for p in row[:COLUMNS]], 1) for row in rows]
    page = Image.fromarray(np.concatenate(tiles, 0))
    return page.resize((page.width * 2, page.height * 2), Image.Resampling.NEAREST)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="How fills of one hole differ.")
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--data", default="aviary", help="aviary, or a data folder")
    parser.add_argument("--samples", type=int, default=64, help="per kind of hole")
    parser.add_argument("--sheets", type=Path, help="folder for a sheet of each kind of hole")
    return parser


if __name__ == "__main__":
    main(_parser().parse_args())
