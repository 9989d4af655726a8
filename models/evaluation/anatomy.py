"""What one whole drawn bird looks like in labels, and which pictures do.

A bird is whole when each of its parts is found once, as one region of about its size, at about its
place, and all of them hang together. Sizes and places are those of renders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.aviary.drawing import PARTS

Labels = NDArray[np.uint8]  # [N,S,S]: 0 backdrop, 1-6 PARTS, 7 eye, 8 legs, 9 branch
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

COUNTED = (*PARTS, "eye", "legs")  # labels 1 to 8
SINGLE = ("crown", "wings", "tail", "bill")  # one region in every render; others are divided
_SLIVER = 0.2  # of the least area in renders: smaller regions are no part
_LEAST, _MOST = 0.5, 1.6  # of the least and the greatest area in renders
_MARGIN = 0.04  # of the side: how far a part may lie outside of the renders' range
_HEAD = ("crown", "bill")


@dataclass(frozen=True)
class Region:
    """One connected region: its share of the picture, and its centre in fractions of the side."""

    area: float
    x: float
    y: float


def regions(label_map: NDArray[np.uint8], label: int) -> list[Region]:
    """The regions of one label in [S,S], neighbours also across corners; the largest first."""
    side = len(label_map)
    _, _, stats, centres = cv2.connectedComponentsWithStats(
        (label_map == label).astype(np.uint8), connectivity=8
    )
    found = [
        Region(float(row[cv2.CC_STAT_AREA]) / side**2, float(x) / side, float(y) / side)
        for row, (x, y) in zip(stats[1:], centres[1:], strict=True)
    ]
    return sorted(found, key=lambda r: -r.area)


@dataclass(frozen=True)
class Anatomy:
    """Ranges seen in renders. areas: (least, greatest) share of the picture of each of COUNTED;
    places: (left, right, top, bottom) of each of PARTS: where the centre of its largest region
    lies, from the middle of the bird, which looks to the right, in fractions of the side.
    """

    areas: Mapping[str, tuple[float, float]]
    places: Mapping[str, tuple[float, float, float, float]]

    @classmethod
    def of_facts(cls, facts: Mapping[str, Mapping[str, Sequence[float]]]) -> Anatomy:
        """As ``judges.json`` holds it."""
        areas = {k: (v[0], v[1]) for k, v in facts["areas"].items()}
        return cls(areas, {k: (v[0], v[1], v[2], v[3]) for k, v in facts["places"].items()})

    def counts(self, label_map: NDArray[np.uint8]) -> dict[str, int]:
        """How many regions of each of COUNTED there are, slivers left out."""
        return {
            c: sum(r.area >= _SLIVER * self.areas[c][0] for r in regions(label_map, k + 1))
            for k, c in enumerate(COUNTED)
        }

    def found(self, label_map: NDArray[np.uint8], part: str) -> bool:
        """Whether at least half of what the smallest render shows of it is there."""
        return _area(label_map, COUNTED.index(part) + 1) >= _LEAST * self.areas[part][0]

    def in_proportion(self, label_map: NDArray[np.uint8]) -> bool:
        """Whether each part is neither much smaller nor much larger than in renders."""
        areas = {p: _area(label_map, k + 1) for k, p in enumerate(PARTS)}
        return all(_LEAST * self.areas[p][0] <= areas[p] <= _MOST * self.areas[p][1] for p in PARTS)

    def in_place(self, label_map: NDArray[np.uint8]) -> bool:
        """Whether each part lies about where renders have it."""
        spots = _spots(label_map)
        ranges = np.array([self.places[p] for p in PARTS])
        low, high = ranges[:, (0, 2)] - _MARGIN, ranges[:, (1, 3)] + _MARGIN
        return bool(np.isfinite(spots).all() and ((low <= spots) & (spots <= high)).all())


def form(anatomy: Anatomy, label_maps: Labels) -> dict[str, Bools]:
    """Of each picture, bool [N]: ``one_bird`` (whole, nothing twice), ``two_heads`` (two crowns
    or two bills), and ``bill_found``, ``eye_found``, ``legs_found``.
    """
    rows = [_form(anatomy, one) for one in label_maps]
    names = ("one_bird", "two_heads", "bill_found", "eye_found", "legs_found")
    return {name: np.array([row[name] for row in rows], np.bool_) for name in names}


def _form(anatomy: Anatomy, label_map: NDArray[np.uint8]) -> dict[str, bool]:
    counts = anatomy.counts(label_map)
    once = all(counts[p] == 1 for p in SINGLE) and _pieces(anatomy, label_map) == 1
    return {
        "one_bird": once and anatomy.in_proportion(label_map) and anatomy.in_place(label_map),
        "two_heads": any(counts[p] > 1 for p in _HEAD),
        **{f"{p}_found": anatomy.found(label_map, p) for p in ("bill", "eye", "legs")},
    }


def _pieces(anatomy: Anatomy, label_map: NDArray[np.uint8]) -> int:
    """How many regions all parts and the eye make together."""
    bird = ((label_map >= 1) & (label_map <= len(PARTS) + 1)).astype(np.uint8)
    sliver = _SLIVER * min(anatomy.areas[p][0] for p in PARTS)
    return sum(r.area >= sliver for r in regions(bird, 1))


def _area(label_map: NDArray[np.uint8], label: int) -> float:
    return float((label_map == label).mean())


def _spots(label_map: NDArray[np.uint8]) -> Floats:
    """float64 [6,2]: the centre of each part's largest region from the middle of the bird, mirrored
    so that the bird looks to the right; NaN where a part is missing.
    """
    found = [regions(label_map, k + 1)[:1] for k in range(len(PARTS))]
    spots = np.array([(r[0].x, r[0].y) if r else (np.nan, np.nan) for r in found])
    ys, xs = np.nonzero((label_map >= 1) & (label_map <= len(PARTS)))
    if not len(xs):
        return spots
    spots -= (xs.mean() / len(label_map), ys.mean() / len(label_map))
    left = spots[PARTS.index("crown"), 0] < spots[PARTS.index("tail"), 0]
    return spots * (-1, 1) if left else spots


def label_agreement(made: Labels, true: Labels, where: Bools) -> Floats:
    """float64 [N]: mean over the labels in either of intersection over union, inside ``where``
    [N,S,S] (mIoU); NaN where it is empty.
    """
    return np.array([_agreement(a[w], b[w]) for a, b, w in zip(made, true, where, strict=True)])


def _agreement(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    seen: list[Any] = sorted({*a.tolist(), *b.tolist()})
    shares = [((a == k) & (b == k)).sum() / ((a == k) | (b == k)).sum() for k in seen]
    return float(np.mean(shares)) if shares else float("nan")
