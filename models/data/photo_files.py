"""Reading every photo of a data set once: whether it decodes, and a digest of its bytes."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from models.data.layouts.base import UNREADABLE, Record

Digest = tuple[int, int]  # size in bytes, crc32 of the bytes


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
