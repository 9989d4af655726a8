"""What a picture's file is made of, counted before a decoder opens it.

A few bytes can make a decoder work for hours: each scan of a progressive JPEG passes over the whole
picture again, and every chunk or segment is handled one by one. No real picture has many of them.
"""

from __future__ import annotations

import re

from jobs.errors import ImageProblem

MAX_SCANS = 100  # of a JPEG; encoders write about ten
MAX_PARTS = 20_000  # chunks of a PNG, segments of a JPEG; 50 megapixels have some thousands

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_BEGINNINGS = (_PNG, _JPEG + b"\xff")
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # stuffed bytes and restarts are pixel data
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_WITHOUT_LENGTH = (0x01, 0xD8)


def has_image_signature(data: bytes) -> bool:
    """Whether the file begins as PNG, JPEG or WebP files do, however it goes on."""
    return data.startswith(_BEGINNINGS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def check_part_count(data: bytes, name: str) -> None:
    """Raises ImageProblem 422 for a file that is cut into too many pieces. Files that are neither
    PNG nor JPEG, or broken, pass: their decoder judges them.
    """
    if data.startswith(_PNG):
        parts, scans = _png_chunks(data), 0
    elif data.startswith(_JPEG):
        parts, scans = _jpeg_segments(data)
    else:
        return
    if parts > MAX_PARTS or scans > MAX_SCANS:
        raise ImageProblem(
            422, f"{name} is cut into too many pieces; open it in an editor and save it again."
        )


def _png_chunks(data: bytes) -> int:
    """How many chunks there are, as far as it matters."""
    place, count = len(_PNG), 0
    while place + 8 <= len(data) and count <= MAX_PARTS:
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        count += 1
    return count


def _jpeg_segments(data: bytes) -> tuple[int, int]:
    """(segments, scans), as far as it matters. Nothing is looked for behind the picture's end."""
    place, count, scans = len(_JPEG), 0, 0
    while count <= MAX_PARTS and (found := _MARKER.search(data, place)):
        kind, place = found[1][0], found.end()
        if kind == _END_OF_IMAGE:
            break
        count += 1
        scans += kind == _START_OF_SCAN
        if kind not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")
    return count, scans
