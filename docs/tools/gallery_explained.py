"""The pictures of docs/explain.md: where a caption's words acted in each task, and a morph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jobs.images import encode_frames
from jobs.request_texts import morph_blends
from models.data.aviary.drawing import PARTS, bird, generator, layers, render
from models.data.masks import around
from models.errors import ModelsError
from models.explanation import Explanation, Plane
from models.pipeline import Item, Pipeline

TEXT = "a bird with a red belly and blue wings and a yellow crown"
WORDS = ("red", "belly", "blue", "wings", "yellow", "crown")
MORPH = ("a red bird with a yellow crown", "a blue bird with black wings")
_BIRD, _SIDE, _SEED, _FRAMES = 5, 128, 7, 8
_HEAT = (220, 30, 20)
Column = tuple[list[Image.Image], str]


def explained(pipelines: Mapping[str, Pipeline[Any]]) -> list[Column]:
    """A column per word, a row per task: what was given and made, then the words over it."""
    rows = [_row(pipelines[task], _given(task)) for task in ("synthesize", "manipulate", "inpaint")]
    titles = ("given", "made", *(f'"{word}"' for word in WORDS), "W(v)", "b(v)")
    return [([row[k] for row in rows], title) for k, title in enumerate(titles)]


def _given(task: str) -> dict[str, Image.Image]:
    photo = render(bird("test", _BIRD), _SIDE)
    if task == "synthesize":
        return {}
    if task == "manipulate":
        return {"image": photo}
    belly = layers(bird("test", _BIRD), _SIDE).masks[PARTS.index("belly")]
    hole = around(belly, generator("test", _BIRD)) == 0
    return {"image": photo, "mask": Image.fromarray(np.where(hole, 255, 0).astype(np.uint8))}


def _row(pipeline: Pipeline[Any], images: dict[str, Image.Image]) -> list[Image.Image]:
    result = pipeline.run([Item(TEXT, _SEED, images=images, explain=True)])
    made, found = result.pictures[0], result.explanations[0]
    if isinstance(made, ModelsError):
        raise made
    nothing = Image.new("RGB", (_SIDE, _SIDE), "white")
    given = images.get("image", nothing)
    if "mask" in images:
        given = Image.composite(nothing, given, images["mask"])
    features = [found.features.get(name) for name in ("W", "b")]
    planes = [*(_of(found, word) for word in WORDS), *features]
    over = made.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return [given, made, *(nothing if p is None else _heat(over, p) for p in planes)]


def _of(found: Explanation, word: str) -> Plane:
    maps = next(w.maps for w in found.words if w.word.word == word)
    return next(iter(maps.values()))


def _heat(picture: Image.Image, plane: Plane) -> Image.Image:
    """The picture in pale grey, red where the plane is strong."""
    grey = Image.blend(
        picture.convert("L").convert("RGB"), Image.new("RGB", picture.size, "white"), 0.5
    )
    alpha = Image.fromarray(np.round(plane / plane.max() * 255).astype(np.uint8)).resize(
        picture.size
    )
    return Image.composite(Image.new("RGB", picture.size, _HEAT), grey, alpha)


def save_morph(pipeline: Pipeline[Any], folder: Path, name: str) -> Sequence[Path]:
    """As a strip and as an animation."""
    items = [Item(MORPH[0], _SEED, mixed=blend) for blend in morph_blends(list(MORPH), _FRAMES)]
    size = (_SIDE, _SIDE)
    made = pipeline.run(items).pictures
    frames = [p.resize(size, Image.Resampling.BICUBIC) for p in made if isinstance(p, Image.Image)]
    paths = [folder / f"{name}.{extension}" for extension in ("png", "webp")]
    for path in paths:
        path.write_bytes(encode_frames(frames, path.suffix[1:])[0])
    return paths
