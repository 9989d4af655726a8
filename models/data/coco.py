"""COCO 2014 and 2017: photos of everyday scenes, five captions each, with instance masks
(Lin et al. 2014; Chen et al. 2015 for the captions).
"""

from __future__ import annotations

import contextlib
import io
import re
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.layout import DataError, has_words, held_out, read_split
from models.data.records import Listing, Record

NAME = "coco"
NEEDS = "annotations/captions_*.json (instances_*.json for masks) and train2017/ or val2017/"
LICENCE = "COCO: annotations CC BY 4.0; photos under their Flickr licences"
_SPLIT = re.compile(r"captions_((?:train|val)20(?:14|17))\.json")


def recognise(folder: Path) -> bool:
    return any((folder / "annotations").glob("captions_*.json"))


def read(folder: Path, split_file: Path | None = None) -> Listing:
    """Photos by split and number, keys like "val2017/000000000139.jpg". Splits whose photo folder
    is missing are left out: people often hold only one.
    """
    splits = _splits(folder)
    records = tuple(record for split in splits for record in _records(folder, split))
    if split_file:
        out = held_out(split_file, read_split(split_file), records)
    else:
        out = frozenset(record.key for record in records if record.key.startswith("val"))
    if len(out) == len(records):  # only val at hand: it has to be divided like any other set
        out = frozenset()
    return Listing(NAME, "COCO", "everyday scenes", LICENCE, folder, records, out)


def _splits(folder: Path) -> list[str]:
    found = map(_SPLIT.fullmatch, (p.name for p in (folder / "annotations").iterdir()))
    names = sorted(match[1] for match in found if match)
    here = [name for name in names if (folder / name).is_dir()]
    if not here:
        raise DataError(f"{folder} has captions of {', '.join(names)} but no folder of photos.")
    return here


def _records(folder: Path, split: str) -> list[Record]:
    captions = _load(folder / "annotations" / f"captions_{split}.json")
    masks = _Instances(folder / "annotations" / f"instances_{split}.json")
    return [
        Record(
            key=f"{split}/{photo['file_name']}",
            path=folder / split / photo["file_name"],
            captions=_captions(captions, number),
            object_mask=partial(masks.draw, number) if masks.path.is_file() else None,
        )
        for number, photo in sorted(captions.imgs.items())
    ]


def _captions(captions: Any, number: int) -> tuple[str, ...]:
    """In one line each: some hold line breaks."""
    texts = (" ".join(note["caption"].split()) for note in captions.imgToAnns.get(number, ()))
    return tuple(filter(has_words, texts))


def _load(path: Path) -> Any:
    """pycocotools' index of one annotation file, without what it prints."""
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise DataError("COCO needs pycocotools; run: pip install pycocotools.") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return COCO(str(path))
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise DataError(f"{path} is not a COCO annotation file: {error}") from error


class _Instances:
    """One instances_*.json, read at the first mask: the official one takes half a gigabyte."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _index(self) -> Any:
        return _load(self.path)

    def draw(self, number: int) -> NDArray[np.bool_]:
        """bool [height,width] of the photo: all parts of its largest instance, crowds left aside;
        all False when nothing is annotated.
        """
        photo = self._index.imgs.get(number)
        notes = [n for n in self._index.imgToAnns.get(number, ()) if not n.get("iscrowd")]
        if photo is None:
            raise DataError(f"{self.path} does not know photo {number}.")
        if not notes:
            return np.zeros((photo["height"], photo["width"]), bool)
        largest = max(notes, key=lambda note: float(note["area"]))
        return np.asarray(self._index.annToMask(largest)).astype(bool)
