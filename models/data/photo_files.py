"""Reading every photo of a data set once: whether it decodes, and a digest of its bytes."""

import io
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from models.data.layouts.base import UNREADABLE, Record

Digest = tuple[int, int]  # size in bytes, crc32 of the bytes
_T = TypeVar("_T")


def digests(records: Sequence[Record]) -> dict[str, Digest]:
    """key -> digest of every photo that decodes to its end."""
    found = zip(records, _concurrently(_digest, records), strict=True)
    return {record.key: digest for record, digest in found if digest}


def faults(records: Sequence[Record]) -> dict[str, str]:
    """key -> why the photo does not decode at full size, for those that do not."""
    found = zip(records, _concurrently(_fault, records), strict=True)
    return {record.key: fault for record, fault in found if fault}


def _digest(record: Record) -> Digest | None:
    try:
        data = record.path.read_bytes()
        with Image.open(io.BytesIO(data)) as photo:
            photo.draft("RGB", (64, 64))  # an eighth of the size for JPEG; truncation still shows
            photo.load()
    except UNREADABLE:
        return None
    return len(data), zlib.crc32(data)


def _fault(record: Record) -> str:
    try:
        with Image.open(record.path) as photo:
            photo.load()
    except UNREADABLE as error:
        return "missing" if isinstance(error, FileNotFoundError) else str(error).split(" <_io")[0]
    return ""


def _concurrently(work: Callable[[Record], _T], records: Iterable[Record]) -> list[_T]:
    """Threads suffice: Pillow decodes without Python's lock."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, records))
