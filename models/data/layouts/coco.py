"""COCO 2014 and 2017: photos of everyday scenes, five captions each, with instance masks
(Lin et al. 2014; Chen et al. 2015 for the captions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.layouts import base
from models.data.layouts.outlines import outline

NAME = "coco"
NEEDS = "annotations/captions_*.json (instances_*.json for masks) and train2017/ or val2017/"
LICENCE = "COCO: annotations CC BY 4.0; photos under their Flickr licences"
_SPLIT = re.compile(r"captions_((?:train|val)20(?:14|17))\.json")
_NUMBERED = len("000000000139.jpg")  # the end of a photo's name in every year
_KNOWN = "train2014, val2014, train2017 and val2017"


def recognise(folder: Path) -> bool:
    return any((folder / "annotations").glob("captions_*.json"))


def read(folder: Path, split_file: Path | None = None) -> base.Listing:
    """Photos by split and number, keys like "val2017/000000000139.jpg". Splits whose photo folder
    is missing are left out: people often hold only one.
    """
    skipped: list[str] = []
    records = tuple(record for split in _splits(folder) for record in split.records(skipped))
    if split_file:
        out = base.held_out(split_file, base.read_split(split_file), records)
    else:
        out = frozenset(record.key for record in records if record.key.startswith("val"))
    records, out = _each_once(records, out, skipped)
    if len(out) == len(records):  # only val at hand: it has to be divided like any other set
        out = frozenset()
    return base.Listing(
        NAME, "COCO", "everyday scenes", LICENCE, folder, records, out, tuple(skipped)
    )


def _each_once(
    records: tuple[base.Record, ...], out: frozenset[str], skipped: list[str]
) -> tuple[tuple[base.Record, ...], frozenset[str]]:
    """Records and held-out keys without copies: COCO 2017 divides the photos of 2014 anew, so most
    of val2014 is in train2017 too. A copy that is held out is the one that stays.
    """
    first: dict[str, str] = {}
    copies: set[str] = set()
    for key in sorted((record.key for record in records), key=lambda key: key not in out):
        kept = first.setdefault(key[-_NUMBERED:], key)
        if _year(kept) != _year(key):
            copies.add(key)
            skipped.append(f"{key} is {kept} again")
    return tuple(record for record in records if record.key not in copies), out - copies


def _year(key: str) -> str:
    return key.partition("/")[0][-4:]


def _splits(folder: Path) -> list[_Split]:
    files = sorted(path.name for path in (folder / "annotations").glob("captions_*.json"))
    names = [match[1] for match in map(_SPLIT.fullmatch, files) if match]
    if not names:
        raise base.DataError(
            f"{folder / 'annotations'} holds {', '.join(files)}; the splits that are known are "
            f"{_KNOWN}, so call the files captions_train2017.json, instances_train2017.json and "
            "the folder of photos train2017."
        )
    here = [split for split in (_Split(folder, name) for name in names) if split.photos]
    if not here:
        raise base.DataError(
            f"{folder} has captions of {', '.join(names)} but no folder of their photos, such as "
            f"{folder / names[0]} or {folder / 'images' / names[0]}."
        )
    return here


@dataclass(frozen=True)
class _Split:
    folder: Path
    name: str

    @cached_property
    def captions(self) -> _Annotations:
        return _Annotations.open(self.folder / "annotations" / f"captions_{self.name}.json")

    @cached_property
    def photos(self) -> Path | None:
        """The folder of the photos: its own, one below images/, or images/ for all splits."""
        images = self.folder / "images"
        places = [p for p in (self.folder / self.name, images / self.name) if p.is_dir()]
        if not places and not images.is_dir():
            return None
        names = (photo.get("file_name") for photo in self.captions.images.values())
        named = [name for name in names if isinstance(name, str)]
        first = [_name(text, self.name).name for text in named[:20]]
        flat = [images] if any((images / name).is_file() for name in first) else []
        return next(iter(places + flat), None)

    def records(self, skipped: list[str]) -> Iterator[base.Record]:
        """Every photo with its captions; rows without are added to ``skipped``."""
        skipped += self.captions.skipped
        masks = _Instances(self.folder / "annotations" / f"instances_{self.name}.json")
        photos = self.captions.images
        for number in sorted(photos, key=lambda text: (len(text), text)):  # as whole numbers
            photo = photos[number]
            if not isinstance(photo.get("file_name"), str):
                skipped.append(f"{self.captions.path.name}: image {number} has no file_name")
                continue
            name = _name(photo["file_name"], self.name)
            path = (self.photos or self.folder) / name
            yield base.Record(
                key=f"{self.name}/{name}",
                path=path,
                captions=tuple(self._captions(number, skipped)),
                object_mask=partial(masks.draw, number, path, photo)
                if masks.path.is_file()
                else None,
            )

    def _captions(self, number: str, skipped: list[str]) -> Iterator[str]:
        """In one line each: some hold line breaks."""
        for note in self.captions.notes.get(number, ()):
            text = note.get("caption")
            if not isinstance(text, str) or not text.strip():
                where = f"{self.captions.path.name}: annotation {note.get('id')}"
                skipped.append(f"{where} of image {number} has no caption")
            elif base.has_words(text):
                yield " ".join(text.split())


def _name(file_name: str, split: str) -> PurePosixPath:
    """A photo's path within its split's folder; those of other machines are cut to the name."""
    path = PurePosixPath(file_name.replace("\\", "/"))
    if split in path.parts:
        return PurePosixPath(*path.parts[path.parts.index(split) + 1 :])
    return PurePosixPath(path.name) if path.is_absolute() or ".." in path.parts else path


@dataclass(frozen=True)
class _Annotations:
    """One annotation file: images by id, notes by their image's id, and what was left out."""

    path: Path
    images: dict[str, dict[str, Any]]
    notes: dict[str, list[dict[str, Any]]]
    skipped: list[str]

    @classmethod
    def open(cls, path: Path) -> _Annotations:
        raw = base.read_json(path)
        if not isinstance(raw, dict) or not all(
            isinstance(raw.get(name), list) for name in ("images", "annotations")
        ):
            raise base.DataError(
                f"{path} is not a COCO annotation file: it needs the lists images and annotations."
            )
        images, notes, skipped = dict[str, dict[str, Any]](), dict[str, list[Any]](), list[str]()
        for k, image in enumerate(raw["images"]):
            if isinstance(image, dict) and image.get("id") is not None:
                images[str(image["id"])] = image
            else:
                skipped.append(f"{path.name}: row {k} of images has no id")
        for k, note in enumerate(raw["annotations"]):
            if isinstance(note, dict) and note.get("image_id") is not None:
                notes.setdefault(str(note["image_id"]), []).append(note)
            else:
                skipped.append(f"{path.name}: row {k} of annotations has no image_id")
        return cls(path, images, notes, skipped)


class _Instances:
    """One instances_*.json, read at the first mask: the official one takes half a gigabyte."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _file(self) -> _Annotations:
        return _Annotations.open(self.path)

    def draw(self, number: str, path: Path, photo: dict[str, Any]) -> NDArray[np.bool_] | None:
        """bool [height,width] of the photo: all parts of its largest instance, crowds left aside;
        None where no outline is given: a label may be a box alone.
        """
        notes = [n for n in self._file.notes.get(number, ()) if not n.get("iscrowd")]
        size = _size(self._file.images.get(number, photo)) or base.photo_size(path)
        drawn = []
        for note in notes:
            plane = outline(note.get("segmentation"), size[1], size[0]) if size else None
            if plane is not None:
                drawn.append((float(note.get("area") or plane.sum()), plane))
        return max(drawn, key=lambda pair: pair[0])[1] if drawn else None


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """(width, height) as the file says, if it does."""
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        return width, height
    return None
