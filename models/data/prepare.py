"""What training needs beside the photos: the split and the vocabulary.

Written to a folder of its own, never into the data set: `prepared.json` (last, so that a reader
sees a whole folder or none) and `vocabulary.json`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from jobs.captions import END, Vocabulary, tokenize
from models.data.layouts.base import (
    UNREADABLE,
    DataError,
    Listing,
    Record,
    make_folder,
    read_json,
)
from models.data.split import VERSION, divide
from models.files import write_whole

Digest = tuple[int, int]  # of a photo: size in bytes, crc32 of the bytes
FORMAT = 1
MANIFEST = "prepared.json"
VOCABULARY = "vocabulary.json"


class NoWordRecurs(DataError):
    """No word occurs as often as a known word has to."""


@dataclass(frozen=True)
class Prepared:
    """An opened folder of `prepare`. content: sha256 over keys, photos and captions, the same on
    every machine; split: keys of "train", "validation" and "test"; words: the vocabulary, END
    first; left_out: photos that are broken or lack captions.
    """

    folder: Path
    content: str
    split: dict[str, tuple[str, ...]]
    words: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> Prepared:
        """Read what `prepare` wrote. Raises DataError."""
        if not (folder / MANIFEST).is_file():
            raise DataError(
                f"{folder} holds no {MANIFEST}; write one with "
                f"python -m models data prepare DIR --out {folder}."
            )
        raw = read_json(folder / MANIFEST)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise DataError(f"{folder / MANIFEST} has another format; prepare the data anew.")
        try:
            return cls(
                folder=folder,
                content=raw["content"],
                split={name: tuple(keys) for name, keys in raw["split"].items()},
                words=tuple(read_json(folder / VOCABULARY)["words"]),
                left_out=tuple(raw["left_out"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{folder} is damaged ({error!r}); prepare the data anew.") from error


def prepare(
    listing: Listing, out: Path, *, least: int = 2, validation: float = 0.05, seed: int = 0
) -> Prepared:
    """Write the split, and the vocabulary of words that occur at least ``least`` times in training
    captions, to ``out``. Photos that do not decode or lack captions are left out of every split.
    """
    refuse_inside(listing, out)
    found, _ = read_photos(listing.records)
    usable = [r for r in listing.records if r.captions and r.key in found]
    split = divide(usable, listing.held_out, validation=validation, seed=seed)
    by_key = {record.key: record for record in usable}
    words = vocabulary((by_key[key] for key in split["train"]), least)
    kept = {record.key for record in usable}
    manifest = {
        "format": FORMAT,
        "layout": listing.layout,
        "name": listing.name,
        "licence": listing.licence,
        "least": least,
        "validation": validation,
        "seed": seed,
        "content": _content(usable, found),
        "split": split,
        "left_out": sorted(record.key for record in listing.records if record.key not in kept),
    }
    make_folder(out)
    (out / MANIFEST).unlink(missing_ok=True)  # an older one must not vouch for newer files
    write_whole(out / VOCABULARY, Vocabulary(words).to_json())
    write_whole(out / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    return Prepared.open(out)


def prepared_for(listing: Listing, cache: Path) -> Prepared:
    """The data set as prepared with default settings, from ``cache`` when nothing has changed
    since. Several processes may ask at once: the first to finish wins.
    """
    folder = cache / f"prepared-{_fingerprint(listing)}"
    if (folder / MANIFEST).is_file():
        try:
            return Prepared.open(folder)
        except DataError:  # a full disk or a lost file; all of it can be made again
            shutil.rmtree(folder, ignore_errors=True)
    refuse_inside(listing, cache)
    make_folder(cache)
    with tempfile.TemporaryDirectory(prefix=".preparing-", dir=cache) as part:
        draft = prepare(listing, Path(part) / "prepared").folder
        try:
            draft.rename(folder)
        except OSError as error:
            if not (folder / MANIFEST).is_file():
                raise DataError(f"Cannot write {folder}: {error.strerror}.") from error
    return Prepared.open(folder)


def refuse_inside(listing: Listing, out: Path) -> None:
    """Data sets are never written to: others share them, and their licences ask for it."""
    if out.resolve().is_relative_to(listing.folder.resolve()):
        raise DataError(
            f"{out} lies inside the data set {listing.folder}, where nothing is ever written; "
            "choose a folder outside it."
        )


def read_photos(records: Sequence[Record]) -> tuple[dict[str, Digest], dict[str, str]]:
    """By key the digests of photos that decode to their end, and why the others do not."""
    # Threads suffice: Pillow decodes without Python's lock.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        found = dict(zip((r.key for r in records), pool.map(_read, records), strict=True))
    faults = {key: result for key, result in found.items() if isinstance(result, str)}
    return {key: x for key, x in found.items() if not isinstance(x, str)}, faults


def _read(record: Record) -> Digest | str:
    try:
        data = record.path.read_bytes()
        with Image.open(io.BytesIO(data)) as photo:
            photo.draft("RGB", (64, 64))  # an eighth of the size for JPEG; truncation still shows
            photo.load()
    except UNREADABLE as error:
        return "missing" if isinstance(error, FileNotFoundError) else str(error).split(" <_io")[0]
    return len(data), zlib.crc32(data)


def vocabulary(records: Iterable[Record], least: int) -> tuple[str, ...]:
    """END, then words seen ``least`` times: frequent ones first, equal ones by alphabet."""
    counts = Counter(
        word for record in records for text in record.captions for word in tokenize(text)
    )
    words = sorted(
        (word for word, count in counts.items() if count >= least),
        key=lambda word: (-counts[word], word),
    )
    if not words:
        raise NoWordRecurs(
            f"No word occurs {least} times in the training captions. Add captions, or run python "
            "-m models data prepare DIR --least 1 --out FOLDER, and then python -m models train "
            "PART --prepared FOLDER."
        )
    return (END, *words)


def _content(records: Iterable[Record], found: dict[str, Digest]) -> str:
    """sha256 over every photo's key, size, crc32 and captions, sorted by key."""
    rows = sorted((r.key, *found[r.key], *r.captions) for r in records)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _fingerprint(listing: Listing) -> str:
    """Key of the cache: quick to compute, and new whenever photos, captions or split change."""
    folder = str(listing.folder.resolve())
    rows: list[object] = [FORMAT, VERSION, folder, sorted(listing.held_out)]
    for record in listing.records:
        stat = record.path.stat() if record.path.is_file() else None
        stamp = (stat.st_size, stat.st_mtime_ns) if stat else ()
        rows.append((record.key, stamp, record.class_name, record.box, record.captions))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:20]
