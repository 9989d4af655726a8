"""What the readers of all layouts share: captions, photo sizes, split files, and their error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import ModelsError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
# What Pillow raises on damaged files, by way of its various decoders.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


class DataError(ModelsError):
    """A data folder, or a file beside it, cannot be used; the text says what to change."""


def read_lines(path: Path, errors: str = "replace") -> list[str]:
    """Non-empty lines without surrounding spaces, of UTF-8, UTF-16 or UTF-32; bytes that are none
    of these become U+FFFD, because the published caption files hold some.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    text = data.decode(json.detect_encoding(data), errors)
    if "\0" in text:
        raise DataError(f"{path} is no text that can be read; save it as UTF-8.")
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_names(path: Path) -> list[str]:
    """The lines of a list of files, with slashes: lists made on Windows hold backslashes."""
    lines = read_lines(path, "surrogateescape")
    return [os.fsdecode(x.encode("utf-8", "surrogateescape")).replace("\\", "/") for x in lines]


def printable_name(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def find_ignoring_case(path: Path) -> Path:
    """``path``, or the file beside it whose name differs in upper and lower case alone."""
    if path.exists() or not path.parent.is_dir():
        return path
    found = (p for p in sorted(path.parent.iterdir()) if p.name.lower() == path.name.lower())
    return next(found, path)


def read_captions(path: Path) -> tuple[str, ...]:
    """One caption a line; none where the file is missing, which `data check` reports."""
    path = find_ignoring_case(path)
    return tuple(filter(has_words, read_lines(path))) if path.is_file() else ()


def has_words(caption: str) -> bool:
    """Some published captions are a lone dot: no text encoder can read those."""
    return any(c.isascii() and c.isalnum() for c in caption)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())  # of any of the encodings above
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable as JSON: {error}") from error


def make_folder(path: Path) -> None:
    """Create ``path`` with its parents, or raise DataError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"Cannot create the folder {path}: {error.strerror}; choose another."
        ) from error


def photo_size(path: Path) -> tuple[int, int] | None:
    """(width, height) from the header alone; None when the file is missing or broken."""
    try:
        with Image.open(path) as photo:
            return photo.size
    except UNREADABLE:
        return None


def read_split(path: Path) -> list[str]:
    """Names held out by a split file: JSON, a list or {"test_classes": [...]}; else one a line."""
    if path.suffix != ".json":
        return read_lines(path)
    content = read_json(path)
    names = content.get("test_classes") if isinstance(content, dict) else content
    if not isinstance(names, list):
        raise DataError(
            f'{path} holds out nothing: write a JSON list or {{"test_classes": [...]}} with the '
            "names of classes or photos kept for testing."
        )
    return [str(name) for name in names]


def held_out(path: Path, names: Iterable[str], records: Sequence[Record]) -> frozenset[str]:
    """``names`` from ``path``, once each is known to be a class or a key of ``records``."""
    known = {record.class_name for record in records} | {record.key for record in records}
    slashed = {name: name.replace("\\", "/") for name in names}
    chosen = frozenset(name if name in known else slashed[name] for name in slashed)
    unknown = sorted(chosen - known)
    if unknown:
        listed = ", ".join(repr(name) for name in unknown[:5])
        example = records[0].class_name or records[0].key if records else ""
        raise DataError(
            f"{path} holds out {listed}, which is neither a class nor a photo of the data set; "
            f"its names look like {example!r}."
        )
    return chosen


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
