"""Training holes. A hole plane is float32 [S,S]: 1 = known, 0 = to be filled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
_LEAST_KNOWN = 0.25


def centre(size: int) -> Plane:
    """The middle square of half the side, as TDANet's centre mask."""
    plane = np.ones((size, size), np.float32)
    plane[size // 4 : size - size // 4, size // 4 : size - size // 4] = 0
    return plane


def box(size: int, rng: np.random.Generator) -> Plane:
    """A random rectangle with sides between a fifth and six tenths of the picture."""
    plane = np.ones((size, size), np.float32)
    h, w = (int(rng.integers(size // 5, int(size * 0.6))) for _ in range(2))
    y, x = int(rng.integers(0, size - h + 1)), int(rng.integers(0, size - w + 1))
    plane[y : y + h, x : x + w] = 0
    return plane


def around(part: Plane, rng: np.random.Generator) -> Plane:
    """The bounding box of a part (where ``part`` > 0.1), grown by up to a tenth of the side."""
    size = part.shape[0]
    ys, xs = np.nonzero(part > 0.1)
    if not len(ys):
        return box(size, rng)
    grow = int(rng.integers(1, max(2, size // 10)))
    plane = np.ones((size, size), np.float32)
    top, left = max(0, ys.min() - grow), max(0, xs.min() - grow)
    plane[top : ys.max() + grow + 1, left : xs.max() + grow + 1] = 0
    return plane


def strokes(size: int, rng: np.random.Generator) -> Plane:
    """A free-form hole: a few thick strokes of a wandering brush."""
    plane = np.ones((size, size), np.float32)
    yy, xx = np.ogrid[:size, :size]
    for _ in range(int(rng.integers(1, 4))):
        y, x = rng.uniform(0, size, 2)
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(size / 20, size / 9)
        for _ in range(int(rng.integers(6, 14))):
            plane[(yy - y) ** 2 + (xx - x) ** 2 < radius**2] = 0
            angle += rng.uniform(-0.6, 0.6)
            y, x = y + radius * np.sin(angle), x + radius * np.cos(angle)
    return plane


def random_hole(part_masks: Plane, rng: np.random.Generator) -> Plane:
    """One of the kinds above at random; ``part_masks`` is float32 [P,S,S]."""
    size = part_masks.shape[-1]
    kind = int(rng.integers(5))
    if kind == 0:
        return centre(size)
    if kind == 1:
        return box(size, rng)
    if kind == 2:
        return strokes(size, rng)
    return around(part_masks[int(rng.integers(len(part_masks)))], rng)


def shape_of(thing: Plane, rng: np.random.Generator) -> Plane:
    """The outline of a thing (where ``thing`` > 0.5), grown by up to a tenth of the side."""
    radius = int(rng.integers(1, max(2, thing.shape[0] // 10)))
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    grown = cv2.dilate((thing > 0.5).astype(np.uint8), square)
    return (1 - grown).astype(np.float32)


def random_photo_hole(thing: Plane | None, size: int, rng: np.random.Generator) -> Plane:
    """A centre, box or stroke hole at random; where the object ``thing`` (float32 [S,S]) is known,
    half of the holes are its bounding box or its outline instead.
    """
    kind = int(rng.integers(3 if thing is None or not thing.any() else 6))
    if kind == 0:
        return centre(size)
    if kind == 1:
        return box(size, rng)
    if kind == 2 or thing is None:
        return strokes(size, rng)
    plane = around(thing, rng) if kind == 3 else shape_of(thing, rng)
    # A thing that fills the picture would leave nothing to complete from.
    return plane if plane.mean() > _LEAST_KNOWN else box(size, rng)
