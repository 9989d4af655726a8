"""COCO's outlines of objects, polygons or run lengths, as planes of pixels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.layouts.base import DataError

Plane = NDArray[np.bool_]
_LEAST = 6  # numbers of a polygon: x, y of three corners


def outline(segmentation: Any, height: int, width: int) -> Plane | None:
    """bool [height,width], True on the object; None for what draws nothing: labels that are a box
    alone have an empty segmentation or none.
    """
    if isinstance(segmentation, list):
        return _polygons(list(filter(_is_polygon, segmentation)), height, width)
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation.get("counts"), segmentation.get("size"))
    return None


def _is_polygon(corners: Any) -> bool:
    return (
        isinstance(corners, list)
        and len(corners) >= _LEAST
        and len(corners) % 2 == 0
        and all(isinstance(x, int | float) and math.isfinite(x) for x in corners)
    )


def _polygons(polygons: list[list[float]], height: int, width: int) -> Plane | None:
    if not polygons:
        return None
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError("COCO needs pycocotools; run: pip install pycocotools.") from error
    # It walks along every edge, so corners far outside of the photo would take its memory.
    limits = np.array([width, height])
    near = [np.clip(np.reshape(p, (-1, 2)), -limits, 2 * limits).ravel().tolist() for p in polygons]
    drawn = mask.decode(mask.merge(mask.frPyObjects(near, height, width)))
    return np.asarray(drawn).astype(bool)


def _run_lengths(counts: Any, size: Any) -> Plane | None:
    """Pixels by columns, in runs that are off, on, off …; as numbers or in COCO's letters."""
    try:
        height, width = (int(side) for side in size)
        runs = _spelt(counts) if isinstance(counts, str) else [int(count) for count in counts]
    except (TypeError, ValueError, IndexError):
        return None
    if min(runs, default=-1) < 0 or sum(runs) != height * width:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _spelt(text: str) -> list[int]:
    """Five bits a letter, low ones first, bit 6 where more follow, the last one signed; from the
    fourth on a run is the difference from the one before the last.
    """
    runs: list[int] = []
    place = 0
    while place < len(text):
        run, shift, more = 0, 0, True
        while more:
            bits = ord(text[place]) - 48
            run |= (bits & 31) << shift
            more, place, shift = bool(bits & 32), place + 1, shift + 5
        if bits & 16:
            run -= 1 << shift
        runs.append(run + runs[-2] if len(runs) > 2 else run)
    return runs
