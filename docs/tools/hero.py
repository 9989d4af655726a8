"""The strip that README opens with: what the shipped weights can do. Its images are chosen,
the best of 32 seeds of a caption, by eye; those of ``docs.tools.gallery`` are not.

Usage: ``python -m docs.tools.hero``, or with all others ``make pictures``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

import models
from docs.tools.gallery_photos import generate
from docs.tools.provenance import record
from models.evaluation.held_out_aviary import HeldOutAviary
from models.pipeline import Item, Pipeline

FILE = Path("docs/pictures/hero.webp")
TILE, GAP, TEXT, FONT = 256, 10, 68, 17
# Bundle, caption, seed: `mmml synthesize CAPTION --bundle BUNDLE --seed SEED` makes the same.
SYNTHESIZED = (
    ("flowers", "a flower with long white petals and a yellow center", 27),
    ("flowers", "a purple flower with rounded petals and a dark middle", 2),
    ("cub", "a small bird with a bright yellow belly and a black crown", 13),
    ("cub", "this bird is red all over with black wings", 27),
)
EDITED = ("a blue bird with a white belly and a short beak", 27, "a yellow bird with grey wings")
FILLED = 20  # of the drawn birds of validation, with the hole over the part that its caption names
Tile = tuple[Image.Image, str]


def main() -> None:
    loaded = {name: models.load(Path("weights") / name) for name in ("flowers", "cub", "aviary")}
    tiles = [
        (generate(loaded[bundle]["synthesize"], [Item(text, seed)])[0], f"“{text}”")
        for bundle, text, seed in SYNTHESIZED
    ]
    tiles += [*_edit(loaded["cub"]), *_fill(loaded["aviary"]["inpaint"])]
    strip(tiles).save(FILE, quality=88, method=6)
    record([FILE], loaded)


def _edit(pipelines: dict[str, Pipeline[Any]]) -> list[Tile]:
    """A generated bird, and the same edited."""
    text, seed, wanted = EDITED
    (bird,) = generate(pipelines["synthesize"], [Item(text, seed)])
    asked = Item(wanted, 0, images={"image": bird}, fidelity="photo")
    return [(bird, "edited by"), (generate(pipelines["manipulate"], [asked])[0], f"“{wanted}”")]


def _fill(pipeline: Pipeline[Any]) -> list[Tile]:
    """A drawn bird with a hole, and the hole filled."""
    case = HeldOutAviary("validation").inpainting(FILLED + 1, pipeline.spec.size, "object")[FILLED]
    assert case.mask is not None  # noqa: S101 (every case of inpainting has one)
    images = {"image": case.picture, "mask": case.mask}
    (filled,) = generate(pipeline, [Item(case.caption, case.seed, images=images, fidelity="photo")])
    white = Image.new("RGB", case.picture.size, "white")
    return [(Image.composite(white, case.picture, case.mask), "filled by"),
            (filled, f"“{case.caption}”")]  # fmt: skip


def strip(tiles: list[Tile]) -> Image.Image:
    """Four in a row on white, each above its text."""
    rows = -(-len(tiles) // 4)
    page = Image.new("RGB", (4 * (TILE + GAP) - GAP, rows * (TILE + TEXT)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(FONT)
    for k, (picture, text) in enumerate(tiles):
        x, y = k % 4 * (TILE + GAP), k // 4 * (TILE + TEXT)
        page.paste(picture.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS), (x, y))
        lines = "\n".join(textwrap.wrap(text, 31))
        draw.multiline_text((x + 2, y + TILE + 3), lines, fill="#333", font=font, spacing=2)
    return page


if __name__ == "__main__":
    main()
