"""A plain folder: every photo has a .txt of the same name beside it, one caption a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from models.data.layouts import base

NAME = "folder"
NEEDS = "photos (.jpg, .png, .webp, .bmp), each with a .txt of the same name, one caption a line"
LICENCE = "unknown: as the owner of the folder says"
_SPLITS = {"train", "val", "validation", "test"}


def recognise(folder: Path) -> bool:
    return any(text for path, text in _files(folder) if _is_photo(path))


def read(folder: Path, split_file: Path | None = None) -> base.Listing:
    """Photos at any depth by path. A class is the subfolder. Subfolders called train, val and
    test, and nothing beside them, are the split instead: test (or val) is held out.
    """
    files = {
        PurePosixPath(base.printable_name(path.relative_to(folder).as_posix())): (path, text)
        for path, text in _files(folder)
    }
    keys = {key: found for key, found in files.items() if _is_photo(key)}
    used = {text for _, text in keys.values()} | {None}
    skipped = tuple(
        f"{key}: has captions, but is no JPEG, PNG, WebP or BMP"
        for key, (_, text) in sorted(files.items())
        if text not in used
    )
    tops = {key.parts[0] if len(key.parts) > 1 else "" for key in keys}
    divided = tops <= _SPLITS and len(tops) > 1
    classes = {key: "/".join(key.parts[1 if divided else 0 : -1]) for key in keys}
    told_apart = len(set(classes.values())) > 1  # one subfolder for all says nothing
    records = tuple(
        base.Record(
            key=str(key),
            path=photo,
            captions=base.read_captions(text) if text else (),
            class_name=classes[key] if told_apart else "",
        )
        for key, (photo, text) in sorted(keys.items())
    )
    if split_file:
        out = base.held_out(split_file, base.read_split(split_file), records)
    else:
        out = _held_out(records, tops) if divided else frozenset()
    name = base.printable_name(folder.resolve().name)
    return base.Listing(NAME, name, "photos", LICENCE, folder, records, out, skipped)


def _is_photo(path: PurePath) -> bool:
    return path.suffix.lower() in base.PHOTO_SUFFIXES


def _files(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """Files below ``folder`` that are no texts, each with the text of its name; hidden folders and
    files are left aside, links are followed, each folder is entered once.
    """
    entered = set[str]()
    for parent, folders, files in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        known, shown = place in entered, [] if place in entered else sorted(files)
        folders[:] = [] if known else sorted(name for name in folders if not name.startswith("."))
        entered.add(place)
        texts = {Path(name).stem: name for name in shown if name.lower().endswith(".txt")}
        for path in (Path(parent, name) for name in shown if not name.startswith(".")):
            if path.suffix.lower() != ".txt":
                text = texts.get(path.stem)
                yield path, path.with_name(text) if text else None


def _held_out(records: tuple[base.Record, ...], tops: set[str]) -> frozenset[str]:
    kept = next((name for name in ("test", "val", "validation") if name in tops), "")
    return frozenset(record.key for record in records if record.key.startswith(f"{kept}/"))
