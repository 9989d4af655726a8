"""Masks of the photographed object, one bit a pixel: what an inpainting hole may be cut after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data.layouts.base import DataError, Record

SIDE = 128  # pixels of a stored plane
Mask = NDArray[np.bool_]


def write_masks(records: Sequence[Record], path: Path) -> int:
    """Store keys (unicode [n]) and planes (uint8 [n, SIDE·SIDE/8], bits packed by rows) of the
    records that show an object in the central square of their crop; return n.
    Without any, no file is written.
    """
    keys, planes = [], []
    for record in records:
        plane = plane_of(record)
        if plane is not None and plane.any():
            keys.append(record.key)
            planes.append(np.packbits(plane))
    if not keys:
        return 0
    draft = path.with_name(f".{path.name}")
    with draft.open("wb") as file:
        np.savez_compressed(file, keys=np.array(keys, dtype=np.str_), planes=np.stack(planes))
    draft.replace(path)
    return len(keys)


def read_masks(path: Path) -> Mapping[str, Mask]:
    """key -> bool [SIDE,SIDE], True on the object."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys, planes = stored["keys"], stored["planes"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} holds no object masks; prepare the data anew.") from error
    bits = np.unpackbits(planes, axis=1).astype(bool).reshape(-1, SIDE, SIDE)
    return dict(zip(map(str, keys), bits, strict=True))


def plane_of(record: Record) -> Mask | None:
    """bool [SIDE,SIDE] of the square that `central_square` cuts; None when unknown."""
    mask = record.object_mask() if record.object_mask else None
    if mask is None:
        return None
    height, width = mask.shape
    square = central_square(record, (width, height))
    plane = Image.fromarray(mask.astype(np.uint8) * 255)
    small = plane.resize((SIDE, SIDE), Image.Resampling.BOX, box=square)
    return np.asarray(small) >= 128


def central_square(record: Record, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom): the largest square in the middle of the record's box, or of the
    whole photo of ``size`` (width, height).
    """
    x, y, w, h = record.box or (0, 0, *size)
    side = min(w, h)
    left, top = x + (w - side) // 2, y + (h - side) // 2
    return left, top, left + side, top + side
