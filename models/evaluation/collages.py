"""Broken birds: renders cut up and put together wrongly, with their labels.

The form judge learns from them, so that it neither hallucinates what is missing nor misses what is
there twice; its tests ask it about others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.aviary.drawing import PARTS, Bird, label_map, render

Pixels = NDArray[np.float32]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_EYE = len(PARTS) + 1
_CROWN, _BILL, _TAIL = (PARTS.index(p) + 1 for p in ("crown", "bill", "tail"))


@dataclass(frozen=True)
class Drawing:
    """A picture float32 [S,S,3] in [0,1], and what its pixels show uint8 [S,S]."""

    pixels: Pixels
    labels: Labels

    @classmethod
    def of(cls, sample: Bird, size: int) -> Drawing:
        """The render of a bird."""
        pixels = np.asarray(render(sample, size), np.float32) / np.float32(255)
        return cls(pixels, label_map(sample, size))

    def mirrored(self) -> Drawing:
        """Left and right exchanged."""
        return Drawing(self.pixels[:, ::-1].copy(), self.labels[:, ::-1].copy())


def paste(below: Drawing, above: Drawing, where: Mask, strength: float = 1.0) -> Drawing:
    """``above`` and its labels over ``below``; strength: of its colours, a half at least."""
    share = where[..., None] * np.float32(strength)
    pixels = below.pixels * (1 - share) + above.pixels * share
    return Drawing(pixels.astype(np.float32), np.where(where, above.labels, below.labels))


def shift(drawing: Drawing, down: int, right: int) -> Drawing:
    """Rolled by so many pixels; what leaves at one edge comes in at the other."""
    step = (down, right)
    return Drawing(np.roll(drawing.pixels, step, (0, 1)), np.roll(drawing.labels, step, (0, 1)))


def near(where: Mask, radius: int = 1) -> Mask:
    """The mask grown by ``radius`` pixels: antialiased edges show a part outside of its labels."""
    grown = where.copy()
    for _ in range(radius):
        around = np.pad(grown, 1)
        grown = around[1:-1, 1:-1] | around[:-2, 1:-1] | around[2:, 1:-1]
        grown |= around[1:-1, :-2] | around[1:-1, 2:]
    return grown


def head_of(drawing: Drawing) -> Mask:
    """Where its head is: the box around crown, bill and eye, a little larger."""
    ys, xs = np.nonzero(np.isin(drawing.labels, (_CROWN, _BILL, _EYE)))
    where = np.zeros(drawing.labels.shape, bool)
    if len(ys):
        where[max(0, ys.min() - 2) : ys.max() + 3, max(0, xs.min() - 2) : xs.max() + 3] = True
    return where


def bare(drawing: Drawing) -> Drawing:
    """Without a bird: each row in the mean colour of its, or the nearest, backdrop."""
    empty = drawing.labels == 0
    known = np.flatnonzero(empty.any(1))
    if not len(known):
        return Drawing(np.zeros_like(drawing.pixels), np.zeros_like(drawing.labels))
    rows = (drawing.pixels * empty[..., None]).sum(1) / np.maximum(empty.sum(1, keepdims=True), 1)
    nearest = known[np.abs(np.arange(len(rows))[:, None] - known).argmin(1)]
    pixels = np.broadcast_to(rows[nearest][:, None], drawing.pixels.shape)
    return Drawing(pixels.astype(np.float32), np.zeros_like(drawing.labels))


def without(drawing: Drawing, labels: Sequence[int]) -> Drawing:
    """These labels taken away, the backdrop in their place; neighbours keep their pixels."""
    gone = np.isin(drawing.labels, labels)
    edge = near(gone) & (drawing.labels == 0)
    return paste(drawing, bare(drawing), gone | edge)


def eyeless(drawing: Drawing) -> Drawing:
    """The same with each pixel of the eye in the mean colour of the part beside it."""
    eye = near(drawing.labels == _EYE, 2)
    beside = near(eye, 2) & ~eye & (drawing.labels >= 1) & (drawing.labels < _EYE)
    places = np.argwhere(beside)
    labels, pixels = drawing.labels.copy(), drawing.pixels.copy()
    for y, x in np.argwhere(eye) if len(places) else ():
        row, column = places[((places - (y, x)) ** 2).sum(1).argmin()]
        labels[y, x] = drawing.labels[row, column]
        pixels[y, x] = drawing.pixels[beside & (drawing.labels == labels[y, x])].mean(0)
    return Drawing(pixels, labels)


def add_head(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """One half mirrored over the other, so that both ends are heads (or both are tails)."""
    del other
    side = drawing.labels.shape[1]
    where = np.zeros(drawing.labels.shape, bool)
    cut = side // 2 + int(rng.integers(-side // 16, side // 16 + 1))
    where[:, :cut] = True
    if rng.random() < 0.5:
        where = ~where
    return paste(drawing, drawing.mirrored(), where, rng.uniform(0.7, 1))


def further_head(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """Another bird's head somewhere on the picture."""
    return _move(drawing, other, head_of(other), rng)


def further_part(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """Another bird's part somewhere on the picture."""
    label = int(rng.integers(1, _EYE + 2))
    return _move(drawing, other, other.labels == label, rng)


def _move(drawing: Drawing, other: Drawing, where: Mask, rng: np.random.Generator) -> Drawing:
    side = len(where)
    step = [int(rng.integers(-side // 3, side // 3 + 1)) for _ in range(2)]
    piece = Drawing(other.pixels, np.where(where, other.labels, 0).astype(np.uint8))
    moved = shift(piece, *step)
    return paste(drawing, moved, np.roll(where, step, (0, 1)), rng.uniform(0.7, 1))


def part_missing(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """One or two parts, eye or legs taken away."""
    del other
    return without(drawing, [int(k) for k in rng.integers(1, _EYE + 2, int(rng.integers(1, 3)))])


def part_moved(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """One part elsewhere: a floating tail, a bill on the belly."""
    del other
    label = int(rng.integers(1, _EYE + 2))
    return _move(without(drawing, [label]), drawing, drawing.labels == label, rng)


def other_inside(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """A rectangle of another bird's picture in its own place."""
    return paste(drawing, other, _rectangle(len(drawing.labels), rng))


def cover(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """A rectangle without anything in it: backdrop, or one colour of any kind."""
    del other
    patch = bare(drawing)
    if rng.random() < 0.5:
        colour = np.broadcast_to(rng.uniform(0, 1, 3).astype(np.float32), patch.pixels.shape)
        patch = Drawing(colour.astype(np.float32), patch.labels)
    return paste(drawing, patch, _rectangle(len(drawing.labels), rng))


def _rectangle(side: int, rng: np.random.Generator) -> Mask:
    height, width = (int(k) for k in rng.integers(side // 8, side // 2, 2))
    top, left = int(rng.integers(0, side - height)), int(rng.integers(0, side - width))
    where = np.zeros((side, side), bool)
    where[top : top + height, left : left + width] = True
    return where


Breaking = Callable[[Drawing, Drawing, np.random.Generator], Drawing]
WAYS: tuple[Breaking, ...] = (
    add_head,
    further_head,
    further_part,
    part_missing,
    part_moved,
    other_inside,
    cover,
)


def break_bird(drawing: Drawing, other: Drawing, rng: np.random.Generator) -> Drawing:
    """The drawing broken in one of the ways, with another one at hand; a quarter have no eye."""
    seen = eyeless(drawing) if rng.random() < 0.25 else drawing
    return WAYS[int(rng.integers(len(WAYS)))](seen, other, rng)
