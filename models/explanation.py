"""Where the words of a text acted on a picture: heat maps over the whole of it, whatever part and
size the networks saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from jobs.captions import Word

Plane = NDArray[np.float32]  # [h,w], ≥ 0

LONGER_SIDE = 128  # of a heat map


@dataclass(frozen=True)
class ExplainedWord:
    """A word of text number ``text``. peak: its share at its strongest place, in [0,1]; None, like
    the absence of maps, when it was left out.
    """

    text: int
    word: Word
    peak: float | None
    maps: Mapping[str, Plane]


@dataclass(frozen=True)
class Explanation:
    """Planes of the picture's aspect; features: those that belong to no word."""

    method: str
    words: tuple[ExplainedWord, ...]
    features: Mapping[str, Plane] = field(default_factory=dict)


@dataclass(frozen=True)
class Area:
    """What a map covers, in pixels of the picture; it may stick out of it."""

    x: float
    y: float
    width: float
    height: float


def explained_words(
    read: Sequence[Word],
    maps: Mapping[str, NDArray[np.float32]],
    shares: NDArray[np.float32],
    whole: Callable[[Plane], Plane],
    text: int = 0,
) -> list[ExplainedWord]:
    """Every word with its maps by name, which ``whole`` lays over the picture. maps [T,h,w] and
    shares [T] by the words' columns; text: which one was read.
    """
    return [
        ExplainedWord(text, word, None, {})
        if (k := word.column) is None
        else ExplainedWord(
            text, word, float(shares[k]), {name: whole(planes[k]) for name, planes in maps.items()}
        )
        for word in read
    ]


def frame(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the heat maps of a picture: its aspect, the longer side fixed."""
    scale = LONGER_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def over_picture(
    planes: NDArray[np.float32], areas: Sequence[Area], width: int, height: int
) -> Plane:
    """Maps of areas of a picture, as one map of the whole picture; 0 where there is none. planes
    [h,w], or one for each area [A,h,w].
    """
    size = frame(width, height)
    whole = np.zeros(size[::-1], np.float32)
    for plane, area in zip(planes.reshape(len(areas), *planes.shape[-2:]), areas, strict=True):
        np.maximum(whole, _resample(plane, area, width, height), out=whole)
    return whole


def _resample(plane: Plane, area: Area, width: int, height: int) -> Plane:
    size = frame(width, height)
    plane = _no_finer(plane, area.width * size[0] / width, area.height * size[1] / height)
    rows, columns = plane.shape
    # The frame's pixels lie so many cells of the map apart, and begin at its left and top.
    across, left = width / size[0] * columns / area.width, -area.x * columns / area.width
    down, top = height / size[1] * rows / area.height, -area.y * rows / area.height
    # From the first pixel's middle, counted from the first cell's middle.
    matrix = np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    covered = _touching(down, top, size[1], rows)[:, None] & _touching(
        across, left, size[0], columns
    )
    return np.asarray(np.where(covered, large, 0), np.float32)


def _no_finer(plane: Plane, width: float, height: float) -> Plane:
    """The mean of cells that fall together when the map is shown at this size."""
    rows, columns = plane.shape
    size = max(1, min(columns, round(width))), max(1, min(rows, round(height)))
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _touching(step: float, edge: float, count: int, cells: int) -> NDArray[np.bool_]:
    """Which of ``count`` pixels a map of so many cells reaches into."""
    begin = edge + step * np.arange(count)
    return np.asarray((begin < cells) & (begin + step > 0))
