"""Uploads as nobody should send them, and what each is answered: the status, and words that say
what to do. Those with status 202 look wrong and are sound, or can be put right without asking.

The gateway's own tests use the list, and so does ``tests/chaos/fuzz.py``, against a real one.
"""

# ruff: noqa: E501 (one line for each case)
from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tests.picture_files import (
    SIGNATURE,
    animation,
    chunk,
    exif,
    frame,
    header,
    jpeg,
    mask,
    multipart,
    odd_exif,
    photo,
    png,
    rows,
    saved,
    scan,
    scan_bomb,
    segment,
    tables,
    text_bomb,
    with_bytes,
)

TEXT = "a red bird"
CONVERT = "is not a PNG, JPEG or WebP picture; convert it to one of these."
BROKEN = "is broken or cut off and can't be decoded; export it again and resend."
LARGE = "is larger than 50 megapixels or 16384 pixels on a side; scale it down."
PIECES = "is cut into too many pieces; open it in an editor and save it again."
TINY = "send one whose shorter side has at least 16."
LIBRARY = "Let an HTTP library make the form and its Content-Type."
FORMS = "it must be a file, base64, a data URL"


@dataclass(frozen=True)
class Upload:
    """One request, as keyword arguments of an HTTP client's ``post``."""

    name: str
    status: int
    words: str
    path: str
    request: Mapping[str, Any]


def _photo(
    name: str, status: int, words: str, data: bytes, file: tuple[str, str] = ("a.png", "image/png")
) -> Upload:
    files = {"image": (file[0], data, file[1])}
    return Upload(name, status, words, "/manipulate", {"data": {"text": TEXT}, "files": files})


def _mask(name: str, status: int, words: str, data: bytes, of: bytes = b"") -> Upload:
    files = {"image": ("a.png", of or png()), "mask": ("m.png", data)}
    return Upload(name, status, words, "/inpaint", {"data": {"text": TEXT}, "files": files})


def _mask_value(name: str, status: int, words: str, value: object, of: bytes = b"") -> Upload:
    body = {"text": TEXT, "image": _base64(of or png()), "mask": value}
    return _body(name, status, words, _json(body), path="/inpaint")


def _value(name: str, status: int, words: str, value: object) -> Upload:
    return _body(name, status, words, _json({"text": TEXT, "image": value}), path="/manipulate")


def _fields(name: str, status: int, words: str, **fields: object) -> Upload:
    return _body(name, status, words, _json({"text": TEXT, **fields}))


def _body(
    name: str,
    status: int,
    words: str,
    content: bytes,
    kind: str = "application/json",
    path: str = "/synthesize",
    **headers: str,
) -> Upload:
    given = {"Content-Type": kind} if kind else {}
    return Upload(name, status, words, path, {"content": content, "headers": {**given, **headers}})


def _form(
    name: str,
    status: int,
    words: str,
    *parts: tuple[bytes, bytes],
    kind: str = "multipart/form-data; boundary=b0undary",
    **how: bytes,
) -> Upload:
    return _body(name, status, words, multipart(parts, **how), kind, "/manipulate")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/cron.d/evil", "* * * * * root true")
    return buffer.getvalue()


def _disposition(name: bytes, filename: bytes = b"") -> bytes:
    tail = b'; filename="' + filename + b'"' if filename else b""
    return b'Content-Disposition: form-data; name="' + name + b'"' + tail


TEXT_PART = (_disposition(b"text"), TEXT.encode())
IMAGE_PART = (_disposition(b"image", b"a.png"), png())

NO_PICTURES = [
    _photo(name, 415, CONVERT, data)
    for name, data in {
        "html": b"<!doctype html><html><body>bird</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>',
        "svg with a foreign entity": b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        "pdf": b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n",
        "gif": saved(photo(), "GIF"),
        "animated gif": animation("GIF"),
        "tiff": saved(photo(), "TIFF"),
        "bmp": saved(photo(), "BMP"),
        "ico": saved(photo(), "ICO"),
        "targa": saved(photo(), "TGA"),
        "netpbm": saved(photo(), "PPM"),
        "pcx": saved(photo(), "PCX"),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 ",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf",
        "jpeg xl": b"\xff\x0a\xfa\x7f\x01",
        "photoshop": b"8BPS\0\x01" + b"\0" * 40,
        "mp4": b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + b"\0" * 99,
        "zip": _zip(),
        "gzip of a png": gzip.compress(png()),
        "elf": b"\x7fELF\x02\x01\x01" + b"\0" * 57,
        "plain text": b"a red bird",
        "one byte": b"\x89",
        "zeros": b"\0" * 1000,
        "base64 text of a png": base64.b64encode(png()),
        "half of a png's signature": SIGNATURE[:4],
        "png's signature, once more converted to unix lines": png().replace(b"\r\n", b"\n"),
        "riff that is no webp": b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40,
        "html before a png": b"<script>alert(1)</script>" + png(),
        "newline before a jpeg": b"\n" + saved(photo(), "JPEG"),
    }.items()
]

CUT_OFF = [
    _photo(
        f"{kind} cut at {part}%",
        422,
        BROKEN,
        saved(photo(200, 150), kind)[: -1 - 150 * (100 - part)],
    )
    for kind in ("PNG", "JPEG", "WEBP")
    for part in (25, 50, 90)
]

DAMAGED = [
    _photo(name, status, words, data)
    for name, status, words, data in [
        ("png: signature alone", 422, BROKEN, SIGNATURE),
        ("png: no chunk but the last", 422, BROKEN, SIGNATURE + chunk(b"IEND")),
        ("png: no pixels", 422, BROKEN, png(pixels=b"")),
        ("png: pixels that are no zlib", 422, BROKEN, png(pixels=chunk(b"IDAT", b"\x7f" * 400))),
        ("png: too few pixels", 202, "", png(pixels=rows(40, 10))),
        ("png: broken checksum of the header", 422, BROKEN, with_bytes(png(), 29, b"\0\0\0\0")),
        ("png: broken checksum of the pixels", 202, "", with_bytes(png(), -16, b"\0\0\0\0")),
        ("png: colour type 5", 422, BROKEN, png(head=header(40, 30, 8, 5))),
        ("png: depth 3", 422, BROKEN, png(head=header(40, 30, 3, 2))),
        ("png: compression 9", 202, "", png(head=header(40, 30, rest=b"\x09\0\0"))),
        ("png: chunk of 4 GB", 422, BROKEN, SIGNATURE + b"\xff\xff\xff\xffIHDR" + b"\0" * 20),
        ("png: header of 5 bytes", 422, BROKEN, png(head=chunk(b"IHDR", b"\0\0\0\x28\0"))),
        ("png: no width", 422, BROKEN, png(head=header(0, 30))),
        ("png: no height", 422, BROKEN, png(head=header(40, 0))),
        ("png: name with spaces for a chunk", 422, BROKEN, png(chunk(b"    ", b"x"))),
        ("jpeg: nothing between start and end", 422, BROKEN, jpeg()),
        ("jpeg: three bytes", 422, BROKEN, b"\xff\xd8\xff"),
        ("jpeg: no scan", 422, BROKEN, jpeg(tables(), frame(40, 30))),
        ("jpeg: no frame", 422, BROKEN, jpeg(tables(), scan())),
        ("jpeg: no tables", 422, BROKEN, jpeg(frame(40, 30), scan())),
        ("jpeg: no height", 422, BROKEN, jpeg(tables(), frame(40, 0), scan())),
        ("jpeg: no components", 422, BROKEN, jpeg(tables(), frame(40, 30, parts=0), scan())),
        ("jpeg: twelve bits", 422, BROKEN, jpeg(tables(), frame(40, 30, precision=12), scan())),
        ("jpeg: lossless", 422, BROKEN, jpeg(tables(), frame(40, 30, 0xC3), scan())),
        ("jpeg: hierarchical", 422, BROKEN, jpeg(tables(), frame(40, 30, 0xC5), scan())),
        ("jpeg: a segment that leads out", 422, BROKEN, b"\xff\xd8" + segment(0xE1, b"x" * 9)[:-7]),
        ("webp: header alone", 422, BROKEN, b"RIFF\x0c\0\0\0WEBPVP8 "),
        (
            "webp: noise behind the header",
            422,
            BROKEN,
            b"RIFF\x30\0\0\0WEBPVP8 \x24\0\0\0" + b"\x7f" * 36,
        ),
        (
            "webp: pixels replaced",
            422,
            BROKEN,
            with_bytes(saved(photo(), "WEBP"), 20, b"\xff" * 40),
        ),
    ]
]

SIZES = [
    _photo(name, status, words, data)
    for name, status, words, data in [
        ("one pixel", 422, TINY, saved(photo(1, 1))),
        ("fifteen rows", 422, TINY, saved(photo(40, 15))),
        ("a line", 422, TINY, saved(photo(1, 3000))),
        ("16385 columns", 413, LARGE, saved(Image.new("L", (16385, 16)))),
        ("a hundred megapixels, declared", 413, LARGE, png(head=header(10_000, 10_000))),
        ("fifty-one megapixels, declared", 413, LARGE, png(head=header(7_150, 7_150))),
        ("two to the 62 pixels, declared", 413, LARGE, png(head=header(2**31 - 1, 2**31 - 1))),
        ("more pixels than the format has", 413, LARGE, png(head=header(2**32 - 1, 2**32 - 1))),
        (
            "jpeg of four gigapixels, declared",
            413,
            LARGE,
            jpeg(tables(), frame(65_535, 65_535), scan()),
        ),
        (
            "webp of 268 megapixels",
            413,
            LARGE,
            b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f" + b"\0" * 8,
        ),
    ]
]

BOMBS = [
    _photo(name, status, words, data)
    for name, status, words, data in [
        ("animated png", 422, "animated; send a single picture", animation("PNG")),
        ("animated webp", 422, "animated; send a single picture", animation("WEBP")),
        ("compressed text of 100 MB", 202, "", text_bomb(b"zTXt")),
        ("international text of 100 MB", 202, "", text_bomb(b"iTXt")),
        ("colour profile of 100 MB", 202, "", text_bomb(b"iCCP")),
        ("a hundred thousand chunks", 422, PIECES, png(*[chunk(b"teSt")] * 100_000)),
        ("a hundred thousand comments", 422, PIECES, jpeg(*[segment(0xFE)] * 100_000)),
        ("fifty megapixels in ten thousand scans", 422, PIECES, scan_bomb(7_000, 7_000, 10_000)),
    ]
]  # fmt: skip

ODD_BUT_SOUND = [
    _photo(name, 202, "", data, file)
    for name, data, file in [
        ("cmyk jpeg", saved(photo().convert("CMYK"), "JPEG"), ("a.jpg", "image/jpeg")),
        ("grey of 16 bits", saved(Image.new("I;16", (40, 30), 40_000)), ("a.png", "image/png")),
        ("colours of 16 bits", png(head=header(40, 30, 16), pixels=rows(channels=6)), ("a.png", "")),
        ("grey of 16 bits with one transparent grey", png(chunk(b"tRNS", b"\xff\xff"), head=header(40, 30, 16, 0), pixels=rows(channels=2)), ("a.png", "")),
        ("one bit", saved(photo().convert("1")), ("a.png", "image/png")),
        ("palette with transparency", saved(photo().convert("P"), transparency=3), ("a.png", "")),
        ("grey with alpha", saved(photo().convert("LA")), ("a.png", "image/png")),
        ("upside down by exif", saved(photo(), "JPEG", exif=exif(3)), ("a.jpg", "image/jpeg")),
        ("orientation 99", saved(photo(), "JPEG", exif=exif(99)), ("a.jpg", "image/jpeg")),
        ("exif that is noise", saved(photo(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 500), ("a.jpg", "")),
        ("exif of odd types", saved(photo(30, 40), "JPEG", exif=odd_exif()), ("a.jpg", "")),
        ("profile that is noise", saved(photo(), "PNG", icc_profile=b"\xff" * 500), ("a.png", "")),
        ("progressive jpeg", saved(photo(), "JPEG", progressive=True), ("a.jpg", "image/jpeg")),
        ("two photos in one jpeg", saved(photo(), "MPO", save_all=True, append_images=[photo()]), ("a.jpg", "")),
        ("php in a jpeg's comment", saved(photo(), "JPEG", comment=b"<?php system($_GET[0]); ?>"), ("a.php", "")),
        ("zip behind a png", png() + _zip(), ("a.zip", "application/zip")),
        ("script in a png's text", png(chunk(b"tEXt", b"Title\0<script>alert(1)</script>")), ("a.html", "text/html")),
        ("png without its end", png()[:-12], ("a.png", "image/png")),
        ("png that says it is a jpeg", png(), ("a.jpg", "image/jpeg")),
        ("file name that climbs", png(), ("../../../etc/passwd", "image/png")),
        ("file name with a nul", png(), ("a\0.png", "image/png")),
        ("file name that is a device", png(), ("CON.png", "image/png")),
        ("file name of 3000 letters", png(), ("a" * 3000, "image/png")),
    ]
]  # fmt: skip

OPAQUE = png()
CLEAR = saved(Image.new("RGBA", (40, 30), (1, 2, 3, 0)))
ROTATED = saved(photo(40, 30), "JPEG", exif=exif(6))
MASKS = [
    _mask("mask of another size", 422, "send a mask of the photo's size", mask(30, 40)),
    _mask("mask of the photo before its rotation", 422, "after its EXIF rotation", mask(40, 30), ROTATED),
    _mask("mask of the photo after its rotation", 202, "", mask(30, 40), ROTATED),
    _mask("black mask", 422, "make the hole white", saved(Image.new("L", (40, 30), 0))),
    _mask("dark grey mask", 422, "make the hole white", saved(Image.new("L", (40, 30), 127))),
    _mask("white mask", 422, "make white only what", saved(Image.new("1", (40, 30), 1))),
    _mask("transparent mask", 422, "make the hole white", saved(Image.new("RGBA", (40, 30), (255, 255, 255, 0)))),
    _mask("mask of colours", 202, "", mask(mode="RGB")),
    _mask("mask as a lossy jpeg", 202, "", saved(Image.open(io.BytesIO(mask())), "JPEG", quality=30)),
    _mask("mask that is text", 415, CONVERT, b"white"),
    _mask("mask that is cut off", 422, BROKEN, mask()[:60]),
    _mask("mask of a hundred megapixels", 413, LARGE, png(head=header(10_000, 10_000))),
    _mask("empty mask", 422, "mask is an empty file", b""),
    _mask("sound mask, broken photo", 422, BROKEN, mask(), png()[:60]),
    _mask_value("box outside of the photo", 422, "does not lie inside the photo of 40×30", "35,5,10,10"),
    _mask_value("box left of the photo", 422, "does not lie inside the photo", "-5,5,10,10"),
    _mask_value("box without width", 422, "does not lie inside the photo", [5, 5, 0, 10]),
    _mask_value("box of the whole photo", 422, "all white", "0,0,40,30"),
    _mask_value("box of five numbers", 422, FORMS, "1,2,3,4,5"),
    _mask_value("list of three numbers", 422, FORMS, [1, 2, 3]),
    _mask_value("list of fractions", 422, "four whole numbers", [1.5, 2, 3, 4]),
    _mask_value("list of whole numbers as fractions", 202, "", [1.0, 2, 8.0, 4]),
    _mask_value("list with infinity", 422, "four whole numbers", [float("inf"), 2, 3, 4]),
    _mask_value("list of words", 422, "four whole numbers", ["1", "2", "3", "4"]),
    _mask_value("list of booleans", 422, "four whole numbers", [True, True, True, True]),
    _mask_value("empty list", 422, "mask must be a file", []),
    _mask_value("box of 5000 digits", 422, FORMS, "1" * 5000 + ",1,1,1"),
    _mask_value("list of 4000 digits", 422, FORMS, [10**4000, 1, 1, 1]),
    _mask_value("box of other digits", 422, FORMS, "١,٢,٣,٤"),
    _mask_value("nested list", 422, "four whole numbers", [[[[[1]]]], 1, 1, 1]),
    _mask_value("mask that is an object", 422, "mask must be a file", {"x": 5}),
    _mask_value("mask that is null", 422, "mask is missing", None),
    _mask_value("mask that is true", 422, "mask must be a file", True),
    _mask_value("alpha of an opaque photo", 422, "no transparency", "alpha"),
    _mask_value("alpha of a clear photo", 422, "all transparent", "alpha", CLEAR),
    _mask_value("mask of a job that never was", 422, "there never was; send a picture", "/jobs/" + "0" * 32 + "/images/0"),
]  # fmt: skip

VALUES = [
    _value("image that is a number", 422, "image must be a file", 5),
    _value("image that is null", 422, "image is missing; send one: PNG, JPEG or WebP", None),
    _value("image that is empty", 422, "image is missing", ""),
    _value("image that is blank", 422, "image is missing", "  "),
    _value("image that is a list", 422, "image must be a file", [1, 2, 3, 4]),
    _value("image that is an object", 422, "image must be a file", {"url": "x"}),
    _value("base64 that is cut", 422, FORMS, _base64(png())[:-3]),
    _value("base64 of too few bytes", 422, BROKEN, "iVBOR w0KGgo="),
    _value("base64 for addresses", 415, CONVERT, "_-_-"),
    _value("base64 of html", 415, CONVERT, _base64(b"<html>")),
    _value("data URL of svg", 415, CONVERT, "data:image/svg+xml;base64," + _base64(b"<svg/>")),
    _value("data URL that is not base64", 415, CONVERT, "data:image/png,%89PNG"),
    _value("data URL of html that is a picture", 202, "", "data:text/html;base64," + _base64(png())),
    _value("data URL of a picture that is html", 415, CONVERT, "data:image/png;base64," + _base64(b"<html>")),
    _value("data URL of nothing", 422, "image is an empty file", "data:image/png;base64,"),
    _value("data URL twice", 422, FORMS, "data:image/png;base64,data:image/png;base64,AAAA"),
    _value("address elsewhere", 422, "Download other pictures", "https://example.com/a.png"),
    _value("address of metadata", 422, "Download other pictures", "http://169.254.169.254/latest"),
    _value("file address", 422, FORMS, "file:///etc/passwd"),
    _value("path on the server", 422, "Download other pictures", "/etc/passwd"),
    _value("path that climbs", 422, "Download other pictures", "/jobs/../../etc/passwd/images/0"),
    _value("index of 5000 digits", 422, "Download other pictures", f"/jobs/{'0' * 32}/images/{'1' * 5000}"),
    _value("job id that is half a character", 422, "Download other pictures", "/jobs/\ud800/images/0"),
    _value("job id with a line break", 422, "Download other pictures", "/jobs/a\r\nDEL/images/0"),
    _value("half a character", 422, FORMS, "\ud800"),
]  # fmt: skip

FIELDS = [
    _fields("count as text", 422, "count must be a whole number", count="3"),
    _fields("count as a boolean", 422, "count must be a whole number", count=True),
    _fields("count of none", 422, "count must be at least 1", count=0),
    _fields("count of seventeen", 422, "count must be at most 16", count=17),
    _fields("seed below zero", 422, "seed must be at least 0; leave it out for a random seed", seed=-1),
    _fields("seed of 33 bits", 422, "seed must be at most 4294967295", seed=2**32),
    _fields("seed of 4000 digits", 422, "seed must be", seed=10**4000),
    _fields("seed that is a fraction", 422, "seed must be a whole number", seed=0.5),
    _fields("seed that is no number", 422, "seed must be a whole number", seed=float("nan")),
    _fields("text that is a number", 422, "text must be a string, or a list of 2 to 8 texts", text=7),
    _fields("text that is a list of one", 422, "text has fewer than 2 entries", text=["a bird"]),
    _fields("text that is a list of nine", 422, "text has more than 8 entries", text=["a bird"] * 9),
    _fields("text that is a list of lists", 422, "text.0 must be a string, or {", text=[["a bird"], "a bird"]),
    _fields("weight of none", 422, "text.1.weight must be more than 0", text=["a bird", {"text": "a bird", "weight": 0}]),
    _fields("weight without a bound", 422, "text.1.weight must be a", text=["a bird", {"text": "a bird", "weight": float("inf")}]),
    _fields("weight as text", 422, "text.1.weight must be a number", text=["a bird", {"text": "a bird", "weight": "2"}]),
    _fields("weight without a text", 422, "text.1.text is required", text=["a bird", {"weight": 2}]),
    _fields("list with a text of no known word", 422, "knows no word of text 2", text=["a bird", "zorgly"]),
    _fields("frames of one text", 422, "frames needs a text that is a list of two captions", frames=3),
    _fields("frames of three texts", 422, "frames needs a text that is", text=["a bird"] * 3, frames=3),
    _fields("frames of weights", 422, "leave the weights out", text=["a bird", {"text": "a bird", "weight": 2}], frames=3),
    _fields("frames that are one", 422, "frames must be at least 2", text=["a bird"] * 2, frames=1),
    _fields("frames that are many", 422, "frames must be at most 64", text=["a bird"] * 2, frames=65),
    _fields("frames of many pictures", 422, "count × frames is 192, and may be at most 128", text=["a bird"] * 2, frames=64, count=3),
    _fields("frames of candidates", 422, "a morph is of one candidate", text=["a bird"] * 2, frames=2, candidates=2),
    _fields("candidates that are none", 422, "candidates must be at least 1", candidates=0),
    _fields("candidates that are many", 422, "candidates must be at most 16", candidates=17),
    _fields("noise scale below", 422, "noise_scale must be at least 0", noise_scale=-1),
    _fields("noise scale above", 422, "noise_scale must be at most 2", noise_scale=2.5),
    _fields("frames explained", 422, "explain the single captions", text=["a bird"] * 2, frames=2, explain=True),
    _fields("explain as text", 422, "explain must be true or false", explain="yes"),
    _fields("text that is half a character", 422, "text must be Unicode text", text="bird \ud83d"),
    _fields("text with a nul", 422, "text contains control characters; send plain text", text="a bird\0"),
    _fields("text with an escape", 422, "send plain text", text="a \x1b[31mbird"),
    _fields("text that is too long", 422, "text has more than 1000 characters; shorten it", text="bird " * 300),
    _fields("text of no known word", 422, "lists the words it knows", text="zorgly"),
    _fields("text of signs only", 422, "lists the words it knows", text="?!… 🐦"),
    _fields("format gif", 422, "add frames, or ask for png, jpeg or webp", format="gif"),
    _fields("format tiff", 422, "format must be 'png', 'jpeg', 'webp' or 'gif'", format="tiff"),
    _fields("seed that is a whole number all the same", 202, "", seed=7.0),
    _fields("count of 3.0", 202, "", count=3.0),
    _fields("null wherever nothing is wanted", 202, "", seed=None, count=None, format=None, explain=None, size=None, webhook=None),
    _fields("text that is null", 422, "text is required", text=None),
    _fields("bundle of a thousand letters", 422, "bundle has more than 100 characters", bundle="x" * 1000),
    _fields("method of a thousand letters", 422, "method has more than 100 characters", method="x" * 1000),
    _fields("bundle that climbs", 422, "there are: paper", bundle="../../etc"),
    _fields("bundle that is a number", 422, "bundle must be a string", bundle=7),
    _fields("method that is not offered", 422, "there are: fake", method="telea"),
    _fields("field that is not known", 422, "colour is not a field of this request", colour="red"),
    _fields("field of an object's insides", 422, "__class__ is not a field", __class__="x"),
    _fields("webhook on this machine", 422, "Give an https:// address", webhook="https://127.0.0.1/"),
    _fields("webhook of 3000 letters", 422, "shorten it", webhook="https://example.com/" + "a" * 3000),
]  # fmt: skip

BODIES = [
    _body("no body", 400, "The body is not valid JSON", b""),
    _body("no body of no type", 415, "Content-Type is missing", b"", ""),
    _body("json of no type", 415, "Content-Type is missing", _json({"text": TEXT}), ""),
    _body("json that is cut", 400, "let a JSON library write it", b'{"text": "a bird"'),
    _body("json with a remark", 400, "not valid JSON", b'{"text": "a bird" /* red */}'),
    _body("json that is a list", 422, 'must be a JSON object such as {"field": "value"}.', b"[]"),
    _body("json that is a string", 422, "must be a JSON object such as", b'"a bird"'),
    _body("json that is null", 422, "must be a JSON object such as", b"null"),
    _body("json nested ten thousand times", 400, "far more values", b'{"a":' * 20_000),
    _body("json nested a thousand times", 400, "not valid JSON", b'{"text":' * 1000),
    _body("json of a megabyte", 413, "128 kB", _json({"text": "a" * 2**20})),
    _body("json of thirty thousand values", 400, "far more values", _json([1] * 30_000)),
    _body("json of a hundred fields", 422, "more than 32 fields", _json({str(k): 1 for k in range(100)})),
    _body("json in gzip", 415, "Content-Encoding gzip is not taken", gzip.compress(_json({"text": TEXT})), **{"Content-Encoding": "gzip"}),
    _body("json in two encodings", 415, "Content-Encoding gzip, br", b"x", **{"Content-Encoding": "gzip, br"}),
    _body("json encoded as itself", 202, "", _json({"text": TEXT}), **{"Content-Encoding": "Identity"}),
    _body("json in latin-1", 400, "not valid JSON", '{"text": "a bïrd"}'.encode("latin-1")),
    _body("json in utf-16", 202, "", json.dumps({"text": TEXT}).encode("utf-16")),
    _body("json with a byte order mark", 202, "", b"\xef\xbb\xbf" + _json({"text": TEXT})),
    _body("json that says it is text", 415, "Send application/json", _json({"text": TEXT}), "text/plain"),
    _body("the picture alone", 415, "or multipart/form-data", png(), "image/png", "/manipulate"),
    _body("xml", 415, "Send application/json", b"<text>a bird</text>", "application/xml"),
    _body("a type that is no type", 415, "Send application/json", b"{}", ";;=,/"),
    _body("urlencoded json", 415, "looks like JSON", _json({"text": TEXT}), "application/x-www-form-urlencoded"),
    _body("urlencoded nothing", 422, "text is required", b"&&&&", "application/x-www-form-urlencoded"),
    _body("urlencoded noise", 422, "is not a field", b"%zz=%&=", "application/x-www-form-urlencoded"),
    _body("urlencoded in Latin-1", 400, "bytes that are not UTF-8; send its text as UTF-8", b"text=a+gr%FCn+bird", "application/x-www-form-urlencoded"),
    _body("a name that is not UTF-8", 400, "bytes that are not UTF-8; send its text as UTF-8", b"text=a+bird&gr\xfcn=1", "application/x-www-form-urlencoded"),
    _body("more weights than texts", 422, "as many weight fields as text fields", b"text=a+bird&text=bird&weight=1&weight=2&weight=3", "application/x-www-form-urlencoded"),
    _body("a weight of one text", 422, "as many weight fields as text fields", b"text=a+bird&weight=1", "application/x-www-form-urlencoded"),
    _body("a weight that is no number", 422, "text.1.weight must be a number", b"text=a+bird&text=bird&weight=1&weight=x", "application/x-www-form-urlencoded"),
    _body("nine texts", 422, "text has more than 8 entries", b"&".join([b"text=bird"] * 9), "application/x-www-form-urlencoded"),
    _body("ten thousand fields", 400, LIBRARY, b"a=1&" * 10_000, "application/x-www-form-urlencoded"),
]  # fmt: skip

MULTIPART = [
    _form("two fields and a file", 202, "", TEXT_PART, IMAGE_PART),
    _form("a preamble", 202, "", TEXT_PART, IMAGE_PART, start=b"This is a form.\r\n"),
    _form("a blank line before it", 202, "", TEXT_PART, IMAGE_PART, start=b"\r\n"),
    _form("file name in RFC 5987 alone", 202, "", TEXT_PART, (_disposition(b"image") + b"; filename*=UTF-8''%e2%82%ac.png", png())),
    _form("file name in both forms", 202, "", TEXT_PART, (_disposition(b"image", b"a.png") + b"; filename*=UTF-8''b.png", png())),
    _form("file name in capitals", 202, "", TEXT_PART, (_disposition(b"image") + b"; FileName* = iso-8859-1'en'%A3.png", png())),
    _form("no boundary", 400, "Missing boundary", TEXT_PART, kind="multipart/form-data"),
    _form("an empty boundary", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary="),
    _form("another boundary", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary=x"),
    _form("boundary of 5000 letters", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary=" + "x" * 5000),
    _form("no end", 422, "text is required", IMAGE_PART, TEXT_PART, end=b""),
    _form("mixed, not a form", 415, "multipart/form-data", TEXT_PART, kind="multipart/mixed; boundary=b0undary"),
    _form("part without a name", 400, 'field "name" must be provided', (b"Content-Disposition: form-data", b"x")),
    _form("part without a disposition", 400, 'field "name" must be provided', (b"Content-Type: text/plain", b"x")),
    _form("part without headers", 400, LIBRARY, (b"", b"x")),
    _form("header line without a colon", 400, LIBRARY, (b"Content-Disposition", b"x")),
    _form("header line of 100 kB", 400, LIBRARY, (_disposition(b"text") + b"\r\nX: " + b"x" * 100_000, b"x")),
    _form("a thousand header lines", 400, LIBRARY, (_disposition(b"text") + b"\r\nX: y" * 1000, b"x")),
    _form("a thousand parts", 400, "Too many fields", *[TEXT_PART] * 1000),
    _form("two photos", 400, "The form can't be used: Too many files. Maximum number of files is 1.", TEXT_PART, IMAGE_PART, IMAGE_PART),
    _form("two texts", 422, "text is given twice; send it once", TEXT_PART, TEXT_PART, IMAGE_PART),
    _form("the photo as text", 422, FORMS, TEXT_PART, (_disposition(b"image"), png())),
    _form("the text as a file", 400, "Too many files", (_disposition(b"text", b"t.txt"), b"a bird"), IMAGE_PART),
    _form("no photo", 422, "image is missing", TEXT_PART),
    _form("no text", 422, "text is required", IMAGE_PART),
    _form("photo of no bytes", 422, "image is an empty file", TEXT_PART, (_disposition(b"image", b"a.png"), b"")),
    _form("photo in transfer encoding", 415, CONVERT, TEXT_PART, (_disposition(b"image", b"a.png") + b"\r\nContent-Transfer-Encoding: base64", base64.b64encode(png()))),
    _form("a field called as a path", 422, "../../x is not a field", TEXT_PART, IMAGE_PART, (_disposition(b"../../x"), b"1")),
    _form("count as words", 422, "count must be a whole number", TEXT_PART, IMAGE_PART, (_disposition(b"count"), b"two")),
    _form("a mask that is not wanted", 422, "mask is not a field", TEXT_PART, IMAGE_PART, (_disposition(b"mask"), b"alpha")),
    _form("charset punycode", 400, LIBRARY, (_disposition(b"text"), b"\xff\xfe-\xff"), kind="multipart/form-data; boundary=b0undary; charset=punycode"),
    _form("charset undefined", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary=b0undary; charset=undefined"),
    _form("charset that does not exist", 202, "", TEXT_PART, IMAGE_PART, kind="multipart/form-data; boundary=b0undary; charset=x-bird"),
]  # fmt: skip

UPLOADS = [*NO_PICTURES, *CUT_OFF, *DAMAGED, *SIZES, *BOMBS, *ODD_BUT_SOUND, *MASKS, *VALUES, *FIELDS, *BODIES, *MULTIPART]  # fmt: skip
