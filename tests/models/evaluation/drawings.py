"""Drawn birds to cut up and to disturb, with their labels: what their judges are asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.data.aviary.drawing import PARTS, Bird, label_map, render

Pixels = NDArray[np.float32]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_EYE = len(PARTS) + 1


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


def degrade(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures [B,3,S,S] in [-1,1] as a generator might leave them: blurred, resized, noisy,
    lighter or darker. The batch is cut into four groups that are treated differently.
    """
    groups = [_resample(part, rng) for part in images.chunk(4)]
    out = torch.cat(groups)
    size = (len(out), 1, 1, 1)
    gain = torch.from_numpy(rng.uniform(0.93, 1.07, size).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(-0.05, 0.05, (len(out), 3, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.uniform(0, 0.12, size).astype(np.float32))
    grain = torch.from_numpy(rng.standard_normal(out.shape, np.float32))
    return ((out + 1) * gain - 1 + tint + noise * grain).clamp(-1, 1)


def _resample(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Through another size and back (24 to 96 pixels), then perhaps blurred."""
    side = images.shape[-1]
    other = int(rng.choice((side, side, 24, 32, 40, 48, 96)))
    if other != side:
        small = functional.interpolate(images, (other, other), mode="bilinear", antialias=True)
        images = functional.interpolate(small, (side, side), mode="bilinear", antialias=True)
    if rng.random() < 0.3:
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        images = functional.avg_pool2d(padded, 3, 1)
    return images
