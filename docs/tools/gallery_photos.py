"""The pictures of bundles that were trained on photos. No photo may be shown, so the captions are
this project's own, and what is edited or filled was made by the bundle itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from models.errors import ModelsError
from models.evaluation.encoders import load_encoders
from models.evaluation.pictures import map_chunks
from models.pipeline import Item, Pipeline

# bundle -> the data set whose judging encoders find its failures, and captions
DATA = {"cub": "CUB-200-2011", "flowers": "Oxford-102"}
CAPTIONS = {
    "cub": (
        "a small bird with a bright yellow belly and a black crown",
        "this bird is red all over with black wings",
        "a blue bird with a white belly and a short beak",
        "a large white bird with a long orange bill",
        "this black bird has a red patch on its head",
        "a brown bird with a streaked breast and a small pointed beak",
        "a green hummingbird with a long thin beak",
        "a grey bird with white wing bars and a white throat",
    ),
    "flowers": (
        "a flower with long white petals and a yellow center",
        "this flower has bright red petals in several layers",
        "a purple flower with rounded petals and a dark middle",
        "the petals are pink with darker veins",
        "an orange flower with spotted petals and long stamens",
        "a yellow flower with many thin petals",
        "this blue flower has five petals and a white center",
        "a white flower with a pink rim and green leaves behind it",
    ),
}
_SEEDS = 8
Column = tuple[list[Image.Image], str]


def columns(
    bundle: str, pipelines: Mapping[str, Pipeline[Any]], shown: int
) -> dict[str, list[Column]]:
    """Sheets by name: of each task the first captions with the seed of their number, and of
    synthesis and manipulation, out of eight seeds each, those that the judging encoders find least
    like their caption; of synthesis also all of these.
    """
    captions = CAPTIONS[bundle]
    items = [Item(captions[k % len(captions)], seed=k) for k in range(_SEEDS * len(captions))]
    made = generate(pipelines["synthesize"], items)
    texts = [item.text for item in items]
    drawn: list[Column] = [([picture], text) for picture, text in zip(made, texts, strict=True)]
    sheets = _first_and_worst(bundle, "synthesize", drawn, shown)
    sheets[f"synthesize-{len(drawn)}"] = drawn
    if "manipulate" in pipelines:
        others = [captions[(k + 1) % len(captions)] for k in range(len(made))]
        edited = _changed("manipulate", pipelines["manipulate"], made, others)
        sheets |= _first_and_worst(bundle, "manipulate", edited, shown)
    if "inpaint" in pipelines:
        sheets["inpaint-first"] = _changed("inpaint", pipelines["inpaint"], made, captions[:shown])
    return sheets


def _first_and_worst(
    bundle: str, task: str, found: Sequence[Column], shown: int
) -> dict[str, list[Column]]:
    """Columns end with what was made of their text."""
    likeness = _likeness(bundle, [x[-1] for x, _ in found], [text for _, text in found])
    worst = np.argsort(likeness, kind="stable")[:shown]
    return {
        f"{task}-first": list(found[:shown]),
        f"{task}-worst": [found[k] for k in map(int, worst)],
    }


def _changed(
    task: str, pipeline: Pipeline[Any], birds: Sequence[Image.Image], result: Sequence[str]
) -> list[Column]:
    """Given above made; manipulation gets another caption."""
    given: list[dict[str, Image.Image]] = [{"image": bird} for bird in birds[: len(result)]]
    if task == "inpaint":
        given = [{**images, "mask": centre_mask(images["image"].size)} for images in given]
    items = [
        Item(text, 0, images=images, fidelity="photo")
        for text, images in zip(result, given, strict=True)
    ]
    seen = [with_hole(images) for images in given]
    rows = zip(seen, generate(pipeline, items), result, strict=True)
    return [([before, after], text) for before, after, text in rows]


def centre_mask(size: tuple[int, int]) -> Image.Image:
    """A mask, white where the middle half of both sides is to be filled."""
    width, height = size
    mask = Image.new("L", size, 0)
    mask.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    return mask


def with_hole(images: Mapping[str, Image.Image]) -> Image.Image:
    whole = images["image"]
    if "mask" not in images:
        return whole
    return Image.composite(Image.new("RGB", whole.size, "white"), whole, images["mask"])


def generate(pipeline: Pipeline[Any], items: Sequence[Item]) -> list[Image.Image]:
    """As they are served. Raises what a picture failed by."""
    found = []
    for picture in pipeline.run([pipeline.with_serving_options(item) for item in items]).pictures:
        if isinstance(picture, ModelsError):
            raise picture
        found.append(picture)
    return found


def _likeness(
    bundle: str, made: Sequence[Image.Image], texts: Sequence[str]
) -> np.ndarray[Any, Any]:
    """Cosine of each picture and its caption, as the judging encoders have it."""
    encoders = load_encoders(DATA[bundle])
    codes = map_chunks(made, encoders.codes)
    found: np.ndarray[Any, Any] = (codes * encoders.sentences(texts)).sum(1).numpy()
    return found
