"""What a picture's file is made of, before a decoder opens it.

Pillow refuses a picture whose comments are large, damaged or have a wrong checksum. As libpng and
browsers do, these are left out; the parts that hold the pixels are left to the decoder. And a few
bytes can make a decoder work for hours: each scan of a progressive JPEG passes over the whole
picture again, and every chunk or segment is handled one by one. No real picture has many of them.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice

from PIL import PngImagePlugin

from jobs.errors import ImageProblem

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE = 4 * 2**20  # bytes of a colour profile or EXIF data, unpacked
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE

_JPEG = b"\xff\xd8"
_SEGMENTS = frozenset({*range(0xC0, 0xFF)} - {*range(0xD0, 0xDB)}) | {0xDB}
# What is kept of a JPEG's application segments and comments: beginnings, and the fewest bytes.
_APPLICATION: dict[int, tuple[tuple[bytes, int], ...]] = {
    **dict.fromkeys((*range(224, 240), 254), ()),
    0xE0: ((b"JFIF\0", 14),),
    0xE1: ((b"Exif\0\0", 14), (b"http://ns.adobe.com/xap/1.0/\0", 30)),
    0xE2: ((b"ICC_PROFILE\0", 14),),
    0xEE: ((b"Adobe", 12),),
}

# Frames of baseline, extended and progressive Huffman coding, and what such a picture is made of:
# Huffman and quantization tables, restart intervals, scans.
_CODING = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xDA})
_ADOBE = 12  # bytes of that segment; the last is the transform of its colours
_PROFILE_PART = 65_519  # bytes of a profile that one segment can hold
_RAW_EXIF = b"Raw profile type exif\0"  # as ImageMagick stores it
_XMP = b"XML:com.adobe.xmp\0\0"  # not compressed
_ANIMATION = {b"acTL": 8, b"fcTL": 26, b"fdAT": 4}  # and the fewest bytes of each
_GREY, _RGB = 0, 2
Chunk = tuple[bytes, memoryview, bytes]  # kind, content, checksum


def without_comments(data: bytes) -> bytes:
    """The PNG or JPEG file with its pixels, transparency, colour profile, orientation and animation
    alone. Other files, and what follows a cut, come back as they are.
    """
    if data.startswith(SIGNATURE):
        return _png(data)
    return _jpeg(data) if data.startswith(_JPEG) else data


def _png(data: bytes) -> bytes:
    header = data[16:29] if data[12:16] == b"IHDR" else bytes(13)
    kept: list[bytes | memoryview] = [SIGNATURE]
    place = len(SIGNATURE)
    for kind, content, checksum in _chunks(data):
        place += 12 + len(content)
        critical = kind[:1].isupper() or not kind.isalpha()  # or no chunk at all
        sound = critical or checksum == zlib.crc32(content, zlib.crc32(kind)).to_bytes(4, "big")
        if kind == b"tRNS" and sound:
            kept += _transparency(content.tobytes(), header)
        elif sound and (critical or _concerns_pixels(kind, content)):
            kept += [len(content).to_bytes(4, "big"), kind, content, checksum]
    return b"".join([*kept, memoryview(data)[place:]])


def _jpeg(data: bytes) -> bytes:
    """Looks at what stands before the first scan."""
    kept, place = [_JPEG], len(_JPEG)
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] in _SEGMENTS:
        kind, end = data[place + 1], place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if end > len(data):
            break
        content = data[place + 4 : end]
        if kind not in _APPLICATION or any(
            content.startswith(start) and len(content) >= least
            for start, least in _APPLICATION[kind]
        ):
            kept.append(data[place:end])
        place = end
    return b"".join([*kept, data[place:]])


def bare_jpeg(data: bytes, orientation: int, profile: bytes) -> bytes | None:
    """The JPEG file's coded pixels as they are, an orientation (EXIF's, 1 to 8) and a colour
    profile, empty for none: no other metadata, nothing behind the picture's end. None for other
    files, for one that is cut or in very many pieces, for rare kinds of coding, and for a profile
    of more than MAX_PROFILE bytes.
    """
    if not data.startswith(_JPEG) or len(profile) > MAX_PROFILE:
        return None
    kept: list[bytes | memoryview] = [_JPEG, *_orientation_segment(orientation)]
    kept += _profile_segments(profile)
    place, view, in_scan = len(_JPEG), memoryview(data), False
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, place)
        if found is None:
            return None
        if in_scan:
            kept.append(view[place : found.start()])
        kind, place = found[1][0], found.end()
        if kind == _END_OF_IMAGE:
            return b"".join([*kept, b"\xff\xd9"])
        end = place + int.from_bytes(data[place : place + 2], "big")
        if kind not in _APPLICATION and kind not in _CODING:
            return None
        kept += _bare_segment(kind, data[place + 2 : end])
        place, in_scan = end, kind == _START_OF_SCAN
    return None


def _bare_segment(kind: int, content: bytes) -> list[bytes]:
    """Of application segments only which colours the components are, written anew."""
    if kind == 0xE0 and content.startswith(b"JFIF\0"):
        content = b"JFIF\0\1\1\0\0\1\0\1\0\0"
    elif kind == 0xEE and content.startswith(b"Adobe") and len(content) >= _ADOBE:
        content = b"Adobe\0\x64\0\0\0\0" + content[_ADOBE - 1 : _ADOBE]
    elif kind in _APPLICATION:
        return []
    return [bytes((0xFF, kind)), (len(content) + 2).to_bytes(2, "big"), content]


def _orientation_segment(orientation: int) -> list[bytes]:
    """EXIF with one entry (tag 0x0112, a short), unless it says nothing."""
    if orientation == 1:
        return []
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return [b"\xff\xe1", (len(tiff) + 8).to_bytes(2, "big"), b"Exif\0\0", tiff]


def _profile_segments(profile: bytes) -> list[bytes]:
    """As many as it takes; each says which of how many it is."""
    parts = [profile[k : k + _PROFILE_PART] for k in range(0, len(profile), _PROFILE_PART)]
    found = []
    for number, part in enumerate(parts, 1):
        head = b"ICC_PROFILE\0" + bytes((number, len(parts)))
        found += [b"\xff\xe2", (len(head) + len(part) + 2).to_bytes(2, "big"), head, part]
    return found


def stored_extension(data: bytes) -> str:
    """Of a file that :func:`bare_jpeg` or a PNG encoder has made."""
    return "jpg" if data.startswith(_JPEG) else "png"


def _chunks(data: bytes) -> Iterator[Chunk]:
    place, view = len(SIGNATURE), memoryview(data)
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            return
        yield data[place + 4 : place + 8], view[place + 8 : end], data[end : end + 4]
        place = end + 4


def _concerns_pixels(kind: bytes, content: memoryview) -> bool:
    """Whether an ancillary chunk says how the pixels are meant, in a way that can be read."""
    if kind in _ANIMATION:
        return len(content) >= _ANIMATION[kind]
    if kind in (b"eXIf", b"tEXt", b"iTXt"):
        start = {b"eXIf": b"", b"tEXt": _RAW_EXIF, b"iTXt": _XMP}[kind]
        return len(content) <= MAX_PROFILE and content[: len(start)] == start
    if kind == b"iCCP" or (kind == b"zTXt" and content[: len(_RAW_EXIF)] == _RAW_EXIF):
        return _unpacks(content.tobytes())
    return False


def _unpacks(content: bytes) -> bool:
    """Whether what follows the chunk's name is deflated and of a sensible size."""
    _, _, packed = content.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return False
    return packed[:1] == b"\0" and unpacker.eof


def _transparency(content: bytes, header: bytes) -> list[bytes]:
    """The tRNS chunk in the values that Pillow compares with: it brings samples of 2 and 4 bits of
    grey, and of 16 bits of colour, to 8 bits, but not the transparent value. None if it is too
    short.
    """
    depth, colour = header[8], header[9]
    if colour in (_GREY, _RGB):
        size = 2 if colour == _GREY else 6
        samples = [int.from_bytes(content[k : k + 2], "big") for k in range(0, size, 2)]
        if len(content) < size:
            return []
        if depth in (2, 4):
            samples = [s * 255 // (2**depth - 1) for s in samples]
        elif depth == 16 and colour == _RGB:
            samples = [s >> 8 for s in samples]
        content = b"".join((s & 0xFFFF).to_bytes(2, "big") for s in samples)
    checksum = zlib.crc32(b"tRNS" + content).to_bytes(4, "big")
    return [len(content).to_bytes(4, "big"), b"tRNS", content, checksum]


MAX_SCANS = 100  # of a JPEG; encoders write about ten
MAX_SCANNED = 10**9  # pixels of all scans together
MAX_PARTS = 20_000  # chunks of a PNG, segments of a JPEG; 50 megapixels have some thousands

_BEGINNINGS = (SIGNATURE, _JPEG + b"\xff")
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # stuffed bytes and restarts are pixel data
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_WITHOUT_LENGTH = (0x01, 0xD8)


def has_image_signature(data: bytes) -> bool:
    """Whether the file begins as PNG, JPEG or WebP files do, however it goes on."""
    return data.startswith(_BEGINNINGS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def check_part_count(data: bytes, name: str) -> int:
    """How many scans a JPEG has, 0 for other files. Raises ImageProblem 422 for a file that is cut
    into too many pieces. Files that are neither PNG nor JPEG, or broken, pass: their decoder judges
    them.
    """
    if data.startswith(SIGNATURE):
        parts, scans = sum(1 for _ in islice(_chunks(data), MAX_PARTS + 1)), 0
    elif data.startswith(_JPEG):
        parts, scans = _jpeg_segments(data)
    else:
        return 0
    if parts > MAX_PARTS or scans > MAX_SCANS:
        raise too_many_parts(name)
    return scans


def too_many_parts(name: str) -> ImageProblem:
    return ImageProblem(
        f"{name} is cut into too many pieces; open it in an editor and save it again."
    )


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
