"""Which photos train, which validate and which test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from models.data.layouts.base import DataError, Record

VERSION = 4  # of the rule: a new number makes caches divide anew
SPLITS = ("train", "validation", "test")
_TEST = 0.1  # share of classes or photos that test where the data set says nothing
FEWEST = 2  # photos that train: with one there is nothing to tell apart
_SMALL = 8  # fewer photos than these part with one at most
_FEWEST_CLASSES = 3  # with fewer, putting a whole one aside costs too much of the data


def divide(
    records: Sequence[Record], held_out: frozenset[str], *, validation: float, seed: int
) -> dict[str, tuple[str, ...]]:
    """Keys of each split, in the records' order. Whole classes move together, so that validation
    too shows classes never seen, unless the set holds out single photos or has few classes. Then
    a photo's key alone decides: photos that join later move none of the others.
    """
    if len(records) < FEWEST:
        raise DataError(
            f"Training needs {FEWEST} readable photos with captions; there are {len(records)}."
        )
    rng = np.random.default_rng([seed, 0x5B117])
    photos_held_out = any(record.key in held_out for record in records)
    part = {r.key: "test" for r in records if r.key in held_out or r.class_name in held_out}
    for split, share in (("test", 0.0 if held_out else _TEST), ("validation", validation)):
        rest = [record for record in records if record.key not in part]
        if not photos_held_out and _has_classes(rest):
            drawn = _draw_classes(rest, share, rng)
        else:
            drawn = _draw_photos(rest, share, f"{seed}/{split}")
        part |= dict.fromkeys(drawn, split)
    if not (left := len(records) - len(part)):
        raise DataError("Every photo is held out for testing; hold out fewer, so some can train.")
    if left < FEWEST:
        raise DataError(
            f"Training needs {FEWEST} photos beside those held out; of {len(records)} there is "
            f"{left}. Add photos, or hold out fewer."
        )
    return {
        split: tuple(r.key for r in records if part.get(r.key, "train") == split)
        for split in SPLITS
    }


def _has_classes(records: Sequence[Record]) -> bool:
    known = {record.class_name for record in records}
    return "" not in known and len(known) >= _FEWEST_CLASSES


def _draw_classes(records: Sequence[Record], share: float, rng: np.random.Generator) -> list[str]:
    """Keys of ``share`` of the classes: at least one, never all, none when ``share`` is 0."""
    if share <= 0:
        return []
    names = sorted({record.class_name for record in records})
    count = min(max(1, round(share * len(names))), len(names) - 1)
    drawn = {names[k] for k in rng.permutation(len(names))[:count]}
    return [record.key for record in records if record.class_name in drawn]


def _draw_photos(records: Sequence[Record], share: float, salt: str) -> list[str]:
    """Keys of about ``share`` of the photos, none when ``share`` is 0; at least two, without which
    nothing can be measured, or one where there are few; never so many that too few train.
    """
    places = {record.key: _hash_fraction(f"{salt}/{record.key}") for record in records}
    if share <= 0:
        return []
    ranked = sorted(places, key=lambda key: places[key])
    count = sum(place < share for place in places.values())
    least = 2 if len(ranked) >= _SMALL else 1
    return ranked[: min(max(least, count), max(len(ranked) - FEWEST, 0))]


def _hash_fraction(text: str) -> float:
    """In [0,1), as good as random but the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / (1 << 48)
