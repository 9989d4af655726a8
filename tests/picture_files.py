"""Picture files, sound and otherwise, made byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def photo(width: int = 40, height: int = 30) -> Image.Image:
    """Noise, which compresses badly: half a file is half a picture."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mask(width: int = 40, height: int = 30, mode: str = "L") -> bytes:
    """A hole of 10×10 pixels."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[5:15, 5:15] = 255
    return saved(Image.fromarray(pixels).convert(mode))


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(
    width: int, height: int, depth: int = 8, colour: int = 2, rest: bytes = b"\0\0\0"
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colour) + rest)


def rows(width: int = 40, height: int = 30, channels: int = 3) -> bytes:
    return chunk(b"IDAT", zlib.compress((b"\0" + b"\x7f" * width * channels) * height))


def png(*parts: bytes, head: bytes | None = None, pixels: bytes | None = None) -> bytes:
    """A 40×30 PNG with ``parts`` between its header and its pixels."""
    first = header(40, 30) if head is None else head
    body = rows() if pixels is None else pixels
    return b"".join([SIGNATURE, first, *parts, body, chunk(b"IEND")])


def with_bytes(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def text_bomb(kind: bytes) -> bytes:
    """A compressed text of 100 MB in a PNG."""
    packed = zlib.compress(b"a" * 100_000_000, 9)
    heads = {
        b"zTXt": b"Comment\0\0",
        b"iTXt": b"Comment\0\x01\0\0\0",
        b"iCCP": b"profile\0\0",
    }
    return png(chunk(kind, heads[kind] + packed))


def segment(marker: int, data: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def frame(width: int, height: int, marker: int = 0xC0, precision: int = 8, parts: int = 1) -> bytes:
    components = b"".join(bytes([n + 1, 0x11, 0]) for n in range(parts))
    return segment(marker, struct.pack(">BHHB", precision, height, width, parts) + components)


def tables() -> bytes:
    """A quantisation table and the two smallest Huffman tables."""
    code = bytes([1, *[0] * 15, 0])
    return segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC4, b"\x00" + code + b"\x10" + code)


def jpeg(*parts: bytes) -> bytes:
    return b"".join([b"\xff\xd8", *parts, b"\xff\xd9"])


def scan(start: int = 0, end: int = 63, data: bytes = b"\0\0") -> bytes:
    return segment(0xDA, bytes([1, 1, 0, start, end, 0])) + data


def scan_bomb(width: int, height: int, scans: int) -> bytes:
    """A progressive JPEG whose every scan makes a decoder pass over all of its pixels."""
    passes = [scan(0, 0), *[scan(1, 63)] * (scans - 1)]
    return jpeg(tables(), frame(width, height, 0xC2), *passes)


def animation(kind: str) -> bytes:
    frames = [photo(), photo().rotate(180)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def odd_exif() -> bytes:
    """Turned a quarter; the camera's name is two numbers and its resolution a text."""
    entries = [
        struct.pack("<HHIHH", 0x010F, 3, 2, 7, 8),
        struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0),
        struct.pack("<HHI4s", 0x011A, 7, 3, b"abc\0"),
    ]
    return (
        b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0" * 4
    )


def multipart(
    parts: Sequence[tuple[bytes, bytes]],
    boundary: bytes = b"b0undary",
    end: bytes = b"--\r\n",
    start: bytes = b"",
) -> bytes:
    """A form from (head lines, content) pairs, sound or not."""
    made = b"".join(
        b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return start + made + b"--" + boundary + end


def _icc(space: bytes, **tags: bytes) -> bytes:
    """A display profile by hand: header, table of tags, tags."""
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", start + len(body), len(content))
        body += padded
    head = bytearray(128)
    head[8:24] = b"\x02\x40\0\0mntr" + space + b"XYZ "
    head[36:40], head[68:80] = b"acsp", _fixed(0.9642, 1, 0.8249)
    whole = bytes(head) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


_WHITE = b"XYZ " + bytes(4) + _fixed(0.9642, 1, 0.8249)
_NAMES = {"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78), "wtpt": _WHITE}


def grey_profile(gamma: float) -> bytes:
    return _icc(b"GRAY", **_NAMES, kTRC=_curve(gamma))


def rgb_profile(*primaries: tuple[float, float, float], gamma: float = 1.8) -> bytes:
    """``primaries``: XYZ of red, green and blue."""
    places = {
        f"{c}XYZ": b"XYZ " + bytes(4) + _fixed(*p) for c, p in zip("rgb", primaries, strict=True)
    }
    return _icc(b"RGB ", **_NAMES, **places, **{f"{c}TRC": _curve(gamma) for c in "rgb"})
