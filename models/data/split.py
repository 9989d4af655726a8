"""Which photos train, which validate and which test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.layout import DataError
from models.data.records import Record

SPLITS = ("train", "validation", "test")
_TEST = 0.1  # share of classes or photos that test where the data set says nothing
_FEWEST_CLASSES = 3  # with fewer, putting a whole one aside costs too much of the data


def divide(
    records: Sequence[Record], held_out: frozenset[str], *, validation: float, seed: int
) -> dict[str, tuple[str, ...]]:
    """Keys of each split, in the records' order. Whole classes move together, so that validation
    too shows classes never seen, unless the set holds out single photos or has few classes.
    """
    if len(records) < 2:
        raise DataError(
            f"Training needs 2 readable photos with captions; there are {len(records)}."
        )
    rng = np.random.default_rng([seed, 0x5B117])
    photos_held_out = any(record.key in held_out for record in records)
    part = {r.key: "test" for r in records if r.key in held_out or r.class_name in held_out}
    for split, share in (("test", 0.0 if held_out else _TEST), ("validation", validation)):
        rest = [record for record in records if record.key not in part]
        part |= dict.fromkeys(_draw(rest, share, not photos_held_out, rng), split)
    if len(part) == len(records):
        raise DataError("Every photo is held out for testing; hold out fewer, so some can train.")
    return {
        split: tuple(r.key for r in records if part.get(r.key, "train") == split)
        for split in SPLITS
    }


def _draw(
    records: Sequence[Record], share: float, classes: bool, rng: np.random.Generator
) -> list[str]:
    """Keys of ``share`` of the classes, or of the photos where classes are few or not known: at
    least one, never all, none when ``share`` is 0.
    """
    names = {record.key: record.class_name for record in records}
    known = set(names.values())
    if not classes or "" in known or len(known) < _FEWEST_CLASSES:
        names = {record.key: record.key for record in records}
    units = sorted(set(names.values()))
    count = min(max(1, round(share * len(units))), len(units) - 1) if share > 0 else 0
    if count < 1:
        return []
    drawn = {units[k] for k in rng.permutation(len(units))[:count]}
    return [key for key, unit in names.items() if unit in drawn]
