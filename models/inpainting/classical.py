"""Filling without learning, for comparison: Telea's fast marching (2004) and Navier–Stokes
(Bertalmio et al. 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.images import Hole, Square, cut, shrink_hole, squares
from models.pipeline import Item, Pipeline, Pixels

METHODS = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}
_SIDE = 256  # both are slow: larger squares are filled at this side and enlarged
_RADIUS = 5.0


@dataclass(frozen=True)
class Prepared:
    """The photo [H,W,3] uint8, its hole [H,W] and the squares around it."""

    photo: NDArray[np.uint8]
    hole: Hole
    squares: tuple[Square, ...]


class ClassicalPipeline(Pipeline[Prepared]):
    """See :class:`models.pipeline.Pipeline`. Text and seed have no influence."""

    def prepare(self, item: Item) -> Prepared:
        photo = np.asarray(item.images["image"])
        hole = np.asarray(item.images["mask"]) >= 128
        return Prepared(photo, hole, tuple(squares(hole, self.spec.size)))

    def forward(self, batch: Sequence[Prepared]) -> list[Pixels]:
        return [self._fill(p) for p in batch]

    def _fill(self, prepared: Prepared) -> Pixels:
        photo = prepared.photo.copy()
        for square in prepared.squares:
            crop = cut(photo, square)
            gap = cut(prepared.hole.astype(np.uint8), square).astype(bool)
            side = min(square.side, _SIDE)
            small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
            unknown = (1 - shrink_hole(gap, side)).astype(np.uint8)
            filled = cv2.inpaint(small, unknown, _RADIUS, METHODS[self.method])
            whole = (square.side, square.side)
            large = cv2.resize(filled, whole, interpolation=cv2.INTER_CUBIC)
            _write(photo, prepared.hole, square, np.asarray(large, np.uint8))
        return np.asarray(photo / 255, np.float32)

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        made = np.round(pixels * 255).astype(np.uint8)
        return Image.fromarray(np.where(prepared.hole[..., None], made, prepared.photo))

    def example(self) -> Item:
        side = self.spec.size
        mask = Image.new("L", (side, side), 0)
        mask.paste(255, (side // 4, side // 4, side // 2, side // 2))
        return Item("", 0, images={"image": Image.new("RGB", (side, side), "white"), "mask": mask})


def _write(photo: NDArray[np.uint8], hole: Hole, square: Square, filled: NDArray[np.uint8]) -> None:
    """Copy the hole's pixels of a filled square into the photo."""
    y0, x0 = max(square.y, 0), max(square.x, 0)
    y1, x1 = (
        min(square.y + square.side, photo.shape[0]),
        min(square.x + square.side, photo.shape[1]),
    )
    inside = hole[y0:y1, x0:x1]
    part = filled[y0 - square.y : y1 - square.y, x0 - square.x : x1 - square.x]
    photo[y0:y1, x0:x1][inside] = part[inside]
