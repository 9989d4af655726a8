"""Files sent as photos."""

# ruff: noqa: E501 (one line for each case)
from __future__ import annotations

import base64
import gzip

from PIL import Image

from tests.app.gateway.malformed.requests import (
    BROKEN,
    CONVERT,
    LARGE,
    PIECES,
    TINY,
    with_photo,
    zip_file,
)
from tests.picture_files import (
    SIGNATURE,
    animation,
    chunk,
    exif,
    frame,
    header,
    jpeg,
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

NO_PICTURES = [
    with_photo(name, 415, CONVERT, data)
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
        "zip": zip_file(),
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
    with_photo(
        f"{kind} cut at {part}%",
        422,
        BROKEN,
        saved(photo(200, 150), kind)[: -1 - 150 * (100 - part)],
    )
    for kind in ("PNG", "JPEG", "WEBP")
    for part in (25, 50, 90)
]


DAMAGED = [
    with_photo(name, status, words, data)
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
    with_photo(name, status, words, data)
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
    with_photo(name, status, words, data)
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
    with_photo(name, 202, "", data, file)
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
        ("zip behind a png", png() + zip_file(), ("a.zip", "application/zip")),
        ("script in a png's text", png(chunk(b"tEXt", b"Title\0<script>alert(1)</script>")), ("a.html", "text/html")),
        ("png without its end", png()[:-12], ("a.png", "image/png")),
        ("png that says it is a jpeg", png(), ("a.jpg", "image/jpeg")),
        ("file name that climbs", png(), ("../../../etc/passwd", "image/png")),
        ("file name with a nul", png(), ("a\0.png", "image/png")),
        ("file name that is a device", png(), ("CON.png", "image/png")),
        ("file name of 3000 letters", png(), ("a" * 3000, "image/png")),
    ]
]  # fmt: skip
