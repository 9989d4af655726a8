"""Filling without learning, for comparison: Telea's fast marching (2004), Navier–Stokes
(Bertalmio et al. 2001) and patches of the same photo (:mod:`models.inpainting.patchmatch`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import InputProblem
from models.geometry import HoleMask, Square, cut, paste, shrink_hole, squares
from models.inpainting.patchmatch import fill
from models.pipeline import Item, Pipeline, Pixels

_SIDE = 256  # all are slow: larger squares are filled at this side and enlarged
_RADIUS = 5.0

Bytes = NDArray[np.uint8]


def _diffuse(flag: int, photo: Bytes, hole_mask: HoleMask, seed: int) -> Bytes:  # noqa: ARG001
    return np.asarray(cv2.inpaint(photo, hole_mask.astype(np.uint8), _RADIUS, flag), np.uint8)


def _patchmatch(photo: Bytes, hole_mask: HoleMask, seed: int) -> Bytes:
    filled = fill(np.asarray(photo / 255, np.float32), hole_mask, seed)
    return np.round(filled * 255).astype(np.uint8)


# Each takes a square photo [s,s,3], its hole [s,s] and a seed, and returns the filled photo.
METHODS: dict[str, Callable[[Bytes, HoleMask, int], Bytes]] = {
    "telea": partial(_diffuse, cv2.INPAINT_TELEA),
    "navier-stokes": partial(_diffuse, cv2.INPAINT_NS),
    "patchmatch": _patchmatch,
}
CLASSICAL = tuple(METHODS)  # what bundles of inpainting offer beside their network


@dataclass(frozen=True)
class Prepared:
    """The photo [H,W,3] uint8, its hole [H,W], the squares around it and the item's seed."""

    photo: Bytes
    hole_mask: HoleMask
    squares: tuple[Square, ...]
    seed: int


class ClassicalPipeline(Pipeline[Prepared]):
    """See :class:`models.pipeline.Pipeline`. Text has no influence, the seed on patches alone."""

    reads_text = enlarges = False

    def prepare(self, item: Item) -> Prepared:
        if item.explain:
            raise InputProblem("bad_input", f"Method {self.method!r} does not look at words.")
        photo = np.asarray(item.resized_image("image"))
        hole = np.asarray(item.resized_image("mask")) >= 128
        return Prepared(photo, hole, tuple(squares(hole, self.spec.size)), item.seed)

    def forward(self, batch: Sequence[Prepared]) -> list[Pixels]:
        return [self._fill(p) for p in batch]

    def _fill(self, prepared: Prepared) -> Pixels:
        photo = prepared.photo.copy()
        for square in prepared.squares:
            crop = cut(photo, square)
            gap = cut(prepared.hole_mask.astype(np.uint8), square).astype(bool)
            side = min(square.side, _SIDE)
            small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
            unknown = shrink_hole(gap, side) == 0
            filled = METHODS[self.method](np.asarray(small, np.uint8), unknown, prepared.seed)
            part = np.asarray(filled / 255, np.float32)
            paste(photo, prepared.hole_mask, square, part, meet_colours=False)
        return np.asarray(photo / 255, np.float32)

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        made = np.round(pixels * 255).astype(np.uint8)
        return Image.fromarray(np.where(prepared.hole_mask[..., None], made, prepared.photo))

    def example(self) -> Item:
        side = self.spec.size
        mask = Image.new("L", (side, side), 0)
        mask.paste(255, (side // 4, side // 4, side // 2, side // 2))
        return Item("", 0, images={"image": Image.new("RGB", (side, side), "white"), "mask": mask})
