"""Tiny generated photo sets, made by hand instead of read from a layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.captions import END
from models.data.layouts.base import Box, Listing, Record
from models.data.photos import Photos
from models.data.prepare import Prepared

WORDS = (END, "a", "red", "blue", "bird", "flower", "left", "of", "tree")


def picture(path: Path, size: tuple[int, int] = (90, 60), seed: int = 0) -> Path:
    """Four flat quarters in random colours: JPEG keeps them, and crops can be told apart."""
    width, height = size
    colours = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    pixels = colours.repeat(height // 2, 0).repeat(width // 2, 1)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def record(
    folder: Path,
    number: int,
    captions: Sequence[str] = ("a red bird",),
    class_name: str = "",
    box: Box | None = None,
    mask: bool = False,
) -> Record:
    """One photo of 90×60; its mask is True on the left half of the photo."""
    path = picture(folder / f"{number}.jpg", seed=number)

    def drawn() -> np.ndarray:
        plane = np.zeros((60, 90), bool)
        plane[:, :45] = True
        return plane

    known = drawn if mask else None
    return Record(f"{number}.jpg", path, tuple(captions), class_name, box, known)


def listing(folder: Path, records: Sequence[Record], layout: str = "folder") -> Listing:
    return Listing(layout, "toy", "toys", "none", folder, tuple(records))


def photos(
    folder: Path,
    records: Sequence[Record],
    *,
    size: int = 32,
    words: Sequence[str] = WORDS,
    captions: int = 0,
    limit: int | None = None,
    split: str = "train",
    augment: bool | None = None,
) -> Photos:
    keys = tuple(r.key for r in records)
    prepared = Prepared(folder, "content", {"train": keys}, tuple(words), None)
    return Photos(
        listing(folder, records),
        prepared,
        size=size,
        split=split,
        folder=folder / "cache",
        captions=captions,
        limit=limit,
        augment=augment,
    )


def sources(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, k]) for k in range(count)]
