"""Object masks for photos that come without any: the thing that GrabCut (Rother et al. 2004) cuts
out of the middle of a photo. Estimates, the same for every method; the official segmentations of
CUB are better where they are at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from PIL import Image

from models.bundle import Bundle
from models.evaluation.held_out_photos import HeldOutPhotos
from models.evaluation.inpainting import evaluate
from models.evaluation.panel import Panel
from models.evaluation.run import Options, open_held_out
from models.evaluation.runner import Runner
from models.registry import load

_SMALLEST, _LARGEST = 0.1, 0.6  # shares of the photo beyond which the cut has failed
_ROUNDS = 5
_INNER, _OUTER, _BORDER = 0.3, 0.9, 2  # axes as shares of the side; pixels of sure background


@dataclass(frozen=True)
class OutlinedPhotos(HeldOutPhotos):
    """See :class:`models.evaluation.held_out_photos.HeldOutPhotos`; holes are outlined objects
    alone.
    """

    def _mask(self, index: int, size: int, kind: str) -> Image.Image | None:
        return outline(self._picture(index, size)) if kind == "object" else None


def score_outlined(bundle: Path, data: str, samples: int) -> dict[str, dict[str, Any]]:
    """Metrics of object masks by row, each as in ``details.json``."""
    opened = open_held_out(data, Bundle.open(bundle), Options())
    photos = cast(HeldOutPhotos, opened)
    runner = Runner(load(bundle, "inpaint", None, "cpu"))
    outlined = OutlinedPhotos(photos.photos, photos.split, photos.seed)
    rows = evaluate(runner, outlined, Panel(), samples, 0).details()
    return {
        row: {metric: found[metric] for metric in found if metric.endswith("_object")}
        for row, found in rows.items()
    }


def outline(photo: Image.Image) -> Image.Image | None:
    """Mode L, 255 on the thing in the middle of an RGB photo; None where none is found."""
    pixels = np.ascontiguousarray(np.asarray(photo)[..., ::-1])
    height, width = pixels.shape[:2]
    marks = np.full((height, width), cv2.GC_BGD, np.uint8)
    marks[_BORDER:-_BORDER, _BORDER:-_BORDER] = cv2.GC_PR_BGD
    middle = width // 2, height // 2
    for share, mark in ((_OUTER, cv2.GC_PR_FGD), (_INNER, cv2.GC_FGD)):
        axes = round(share * width / 2), round(share * height / 2)
        cv2.ellipse(marks, middle, axes, 0, 0, 360, mark, -1)
    cv2.setRNGSeed(0)  # of the colours' clusters: the same outline every time
    colours = np.zeros((1, 65)), np.zeros((1, 65))
    unread = (0, 0, 1, 1)  # a rectangle, where there are no marks
    cv2.grabCut(pixels, marks, unread, *colours, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not _SMALLEST <= found.mean() <= _LARGEST:
        return None
    return Image.fromarray(np.where(found, 255, 0).astype(np.uint8))
