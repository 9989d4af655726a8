"""What a data set's folder holds, whatever its layout: photos with captions, classes and boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the photo


@dataclass(frozen=True)
class Record:
    """One photo. key: its name within the data set, stable across machines; class_name: empty where
    the set has no classes; box: the square crop that shows the object, None for the whole photo;
    tight: that crop ends where the object does, so that a random crop would cut it;
    object_mask: draws bool [height,width] of the photo, True on the object; it, or what it draws,
    is None when unknown.
    """

    key: str
    path: Path
    captions: tuple[str, ...]
    class_name: str = ""
    box: Box | None = None
    object_mask: Callable[[], NDArray[np.bool_] | None] | None = field(
        default=None, repr=False, compare=False
    )
    tight: bool = False


@dataclass(frozen=True)
class Listing:
    """All photos of a folder in a fixed order. held_out: classes, or keys where there are none,
    that the set itself keeps for testing; empty when it says nothing; skipped: rows of its files
    that nothing can be made of, each with the reason.
    """

    layout: str
    name: str
    domain: str
    licence: str
    folder: Path
    records: tuple[Record, ...]
    held_out: frozenset[str] = frozenset()
    skipped: tuple[str, ...] = ()
