"""The pictures of README and docs, from the shipped bundles: for each task the first cases of the
held-out split as they come, and the worst of them as failures, where any failed; of the drawn birds
also where words act, and a morph.

Usage: ``make gallery`` or ``python -m docs.tools.gallery [--bundles weights/aviary …]``.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

import models
from docs.tools.gallery_explained import explained, save_morph
from docs.tools.gallery_photos import CAPTIONS, columns
from docs.tools.provenance import record
from models.errors import ModelsError
from models.evaluation.attributes import load_reader
from models.evaluation.cases import Case
from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.pictures import resize, stack
from models.pipeline import Item, Pipeline

FOLDER = Path("docs/pictures")
SHIPPED = [Path("weights/aviary"), Path("weights/cub"), Path("weights/flowers")]
TILE, GAP, LINE, SHOWN = 128, 6, 12, 6
TASKS = ("synthesize", "manipulate", "inpaint")


@dataclass(frozen=True)
class Shown:
    """A case, what the pipeline made of it, and the share of named parts in their colour."""

    case: Case
    made: Image.Image
    right: float


def main() -> None:
    parser = argparse.ArgumentParser(description="pictures for the documentation")
    parser.add_argument("--bundles", type=Path, nargs="+", default=SHIPPED)
    parser.add_argument("--cases", type=int, default=64, help="drawn birds, for the worst of them")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for folder in arguments.bundles:
        pipelines = models.load(folder)
        if folder.name in CAPTIONS:
            _of_photos(folder.name, pipelines)
        else:
            _drawn(folder.name, pipelines, arguments.cases)
        made = [p for p in FOLDER.glob(f"{folder.name}-*") if "losses" not in p.name]
        record(made, [folder.name])


def _of_photos(name: str, pipelines: Mapping[str, Pipeline[Any]]) -> None:
    for kind, found in columns(name, pipelines, SHOWN).items():
        path = FOLDER / f"{name}-{kind}.webp"
        made = sheet(found) if len(found) <= SHOWN else grid([rows[0] for rows, _ in found])
        made.save(path, quality=90, method=6)
        sys.stdout.write(f"{path}\n")


def _drawn(name: str, pipelines: Mapping[str, Pipeline[Any]], cases: int) -> None:
    for task, pipeline in pipelines.items():
        shown = _shown(pipeline, _cases(task, cases, pipeline.spec.size))
        failed = [s for s in shown if s.right < 1]
        worst = sorted(failed, key=lambda s: s.right)[:SHOWN]
        for kind, chosen in (("first", shown[:SHOWN]), ("worst", worst)):
            path = FOLDER / f"{name}-{task}-{kind}.webp"
            if not chosen:
                path.unlink(missing_ok=True)
                sys.stdout.write(f"{path}: none of {len(shown)} failed\n")
                continue
            sheet([_column(task, s) for s in chosen]).save(path, quality=90, method=6)
            rates = ", ".join(f"{s.right:.0%}" for s in chosen)
            sys.stdout.write(f"{path}: named parts in their colour {rates}\n")
    sheet(explained(pipelines)).save(FOLDER / f"{name}-explained.webp", quality=90, method=6)
    save_morph(pipelines["synthesize"], FOLDER, f"{name}-morph")


def _cases(task: str, count: int, size: int) -> list[Case]:
    held_out = HeldOutAviary("test")
    if task == "synthesize":
        return held_out.synthesis(count, size)
    if task == "manipulate":
        return held_out.manipulation(count, size)
    return held_out.inpainting(count, size, "object")


def _shown(pipeline: Pipeline[object], cases: Sequence[Case]) -> list[Shown]:
    """Cases in which the caption names a part that counts, with pictures and rates."""
    cases = [c for c in cases if c.counted is not None and c.counted.any()]
    items = [pipeline.with_serving_options(_item(c)) for c in cases]
    made = [_checked(p) for p in pipeline.run(items).pictures]
    read = load_reader().read(resize(stack(made), pipeline.spec.size)).numpy()
    found = zip(cases, made, read, strict=True)
    return [Shown(c, m, float((r == c.truth)[c.counted].mean())) for c, m, r in found]


def _item(case: Case) -> Item:
    images = {} if case.mask is None and case.target is None else {"image": case.picture}
    if case.mask is not None:
        images["mask"] = case.mask
    return Item(case.caption, case.seed, images=images, fidelity="photo")


def _checked(picture: Image.Image | ModelsError) -> Image.Image:
    if isinstance(picture, ModelsError):
        raise picture
    return picture


def _column(task: str, shown: Shown) -> tuple[list[Image.Image], str]:
    """Pictures from top to bottom, and the caption below."""
    case = shown.case
    if task == "synthesize":
        return [shown.made], case.caption
    given = case.picture
    if case.mask is not None:
        given = Image.composite(Image.new("RGB", given.size, "white"), given, case.mask)
    return [given, shown.made], case.caption


def grid(pictures: Sequence[Image.Image], across: int = 8) -> Image.Image:
    """Pictures row by row, on white."""
    step = TILE + GAP
    down = -(-len(pictures) // across)
    out = Image.new("RGB", (across * step - GAP, down * step - GAP), "white")
    for k, picture in enumerate(pictures):
        tile = picture.resize((TILE, TILE), Image.Resampling.LANCZOS)
        out.paste(tile, (k % across * step, k // across * step))
    return out


def sheet(columns: Sequence[tuple[list[Image.Image], str]]) -> Image.Image:
    """Columns of equal pictures with their whole captions, on white."""
    rows = len(columns[0][0])
    texts = [textwrap.wrap(caption, 24) for _, caption in columns]
    width = len(columns) * (TILE + GAP) - GAP
    out = Image.new(
        "RGB", (width, rows * (TILE + GAP) + LINE * max(map(len, texts)) + GAP), "white"
    )
    draw = ImageDraw.Draw(out)
    for k, (pictures, _) in enumerate(columns):
        x = k * (TILE + GAP)
        for row, picture in enumerate(pictures):
            tile = picture.resize((TILE, TILE), Image.Resampling.BICUBIC)
            out.paste(tile, (x, row * (TILE + GAP)))
        draw.multiline_text((x, rows * (TILE + GAP)), "\n".join(texts[k]), fill="black", spacing=1)
    return out


if __name__ == "__main__":
    main()
