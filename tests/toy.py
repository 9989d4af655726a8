"""A fourth task: everything that it costs, in one file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from jobs.requests import ImageField, TaskRequest
from models.bundle import Bundle
from models.pipeline import Item, Pipeline, Pixels, to_image


class Mirror(TaskRequest):
    """Turn a photo around, darkened when the text asks for it."""

    task = "mirror"
    summary = "Mirror a photo"
    images = (ImageField("image", "photo", "PNG, JPEG or WebP"),)


class MirrorPipeline(Pipeline[Item]):
    """Needs no network."""

    def prepare(self, item: Item) -> Item:
        self.encode(item.text)
        return item

    def forward(self, batch: Sequence[Item]) -> list[Pixels]:
        return [np.asarray(i.images["image"], np.float32)[:, ::-1] / 255 for i in batch]

    def finish(self, prepared: Item, pixels: Pixels) -> Image.Image:
        return to_image(pixels)

    def example(self) -> Item:
        return Item(self.known_word, 0, images={"image": Image.new("RGB", (8, 8))})


def load(bundle: Bundle, task: str, method: str, device: str, precision: str) -> MirrorPipeline:
    """What ``models/registry.py`` names."""
    return MirrorPipeline(bundle, task, method, device, precision)
