"""Pipelines without networks whose pictures show what they were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from models.errors import UnknownBundle
from models.pipeline import Item, Pipeline, Pixels
from tests.squares import FakeLoader, FakePipeline

SIDE = 64


def colour_of(item: Item) -> Pixels:
    """Follows from seed and text."""
    parts = (
        share * np.random.default_rng([item.seed, *text.encode()]).random(3, np.float32)
        for text, share in item.blend
    )
    return np.sum([*parts], axis=0)


class Painter(FakePipeline):
    """Without a photo a shaded square; a photo is tinted; with a mask its hole is filled."""

    def _paint(self, item: Item) -> Pixels:
        colour = colour_of(item)
        if "image" not in item.images:
            shade = np.linspace(0.4, 1, SIDE, dtype=np.float32)[:, None, None]
            return np.broadcast_to(shade * colour, (SIDE, SIDE, 3)).astype(np.float32)
        photo = _floats(item.images["image"])
        if "mask" not in item.images:
            return (photo + colour) / 2
        hole = np.asarray(item.images["mask"])[..., None] > 127
        return np.where(hole, colour, photo).astype(np.float32)


def _floats(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), np.float32) / 255


class PainterLoader(FakeLoader):
    """A painter for every bundle and task, but what ``others`` names by task."""

    def __init__(self, others: Mapping[str, Pipeline[Any]] | None = None) -> None:
        super().__init__(Painter())
        self.others = dict(others or {})

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Pipeline[Any]:
        if bundle == "missing":
            raise UnknownBundle("There is no bundle 'missing'.")
        return self.others.get(task, self.pipeline)
