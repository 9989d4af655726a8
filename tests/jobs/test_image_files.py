"""Comments never cost its pixels; what says how they are meant is kept."""

from __future__ import annotations

import zlib

import pytest
from PIL import Image

from jobs.errors import ImageProblem
from jobs.image_files import without_comments
from jobs.images import decode_photo
from tests.picture_files import SIGNATURE, chunk, exif, header, png, rows, saved, segment, text_bomb

COMMENTS = {
    "large compressed text": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(3 * 2**20))),
    "large international text": chunk(
        b"iTXt", b"prompt\0\x01\0\0\0" + zlib.compress(b"x" * 3 * 2**20)
    ),
    "text of an unknown compression": chunk(b"zTXt", b"workflow\0\x07abc"),
    "text with a wrong checksum": chunk(b"tEXt", b"Title\0bird")[:-1] + b"?",
    "text under a name of Pillow's": chunk(b"tEXt", b"transparency\0bird"),
    "resolution of three bytes": chunk(b"pHYs", b"abc"),
    "gamma of nothing": chunk(b"gAMA"),
    "chromaticities cut short": chunk(b"cHRM", b"1234"),
    "rendering intent of nothing": chunk(b"sRGB"),
    "profile of an unknown compression": chunk(b"iCCP", b"x\0\x09abc"),
    "profile without an end": chunk(b"iCCP", b"x" * 90),
    "transparency of one byte": chunk(b"tRNS", b"a"),
    "animation of three bytes": chunk(b"acTL", b"abc"),
    "exif of one byte": chunk(b"eXIf", b"M"),
}


@pytest.mark.parametrize("comment", COMMENTS.values(), ids=COMMENTS)
def test_broken_or_large_comments_do_not_cost_the_pixels(comment: bytes) -> None:
    made = decode_photo(png(comment))
    assert made.getpixel((20, 15)) == (127, 127, 127)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_bombs_are_left_out(kind: bytes) -> None:
    assert without_comments(text_bomb(kind)) == png()


def test_the_orientation_is_kept_wherever_it_stands() -> None:
    turned = saved(Image.new("RGB", (40, 30), "red"), exif=exif(6))
    assert decode_photo(turned).size == (30, 40)
    raw = exif(6).tobytes()
    hexed = b"\nexif\n%8d\n" % len(raw) + raw.hex().encode()
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexed))
    assert decode_photo(png(text)).size == (30, 40)


def test_animations_stay_animations() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    data = saved(frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ImageProblem, match="animated"):
        decode_photo(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", SIGNATURE, SIGNATURE + header(40, 30)[:-2], png()[:-20], png() + b"behind"],
)
def test_other_and_cut_files_come_back_as_they_are(data: bytes) -> None:
    assert without_comments(data) == data


def test_pixels_with_a_wrong_checksum_are_left_to_the_decoder() -> None:
    bad = rows()[:-1] + b"?"
    assert bad in without_comments(png(pixels=bad))


SEGMENTS = {
    "resources of an editor": segment(0xED, b"Photoshop 3.0\x008BIM\x04"),
    "resources without an end": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\x05abc\xff\xff"),
    "second header cut short": segment(0xE0, b"JFIF\0\1"),
    "colour transform cut short": segment(0xEE, b"Adobe\0"),
    "list of pictures that is noise": segment(0xE2, b"MPF\0MM\0*\xff\xff\xff\xff"),
    "part of a profile": segment(0xE2, b"ICC_PROFILE\0\2\7abc"),
    "exif that is noise": segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "comment": segment(0xFE, b"\xff" * 60_000),
}


@pytest.mark.parametrize("extra", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("place", [2, 20])
def test_broken_segments_do_not_cost_the_pixels(extra: bytes, place: int) -> None:
    whole = saved(Image.new("RGB", (40, 30), (10, 200, 90)), "JPEG", quality=95)
    made = decode_photo(whole[:place] + extra + whole[place:])
    assert made.getpixel((20, 15)) == pytest.approx((10, 200, 90), abs=6)


def test_what_a_jpeg_says_of_its_pixels_is_kept() -> None:
    profile = b"p" * 100
    whole = saved(Image.new("CMYK", (40, 30)), "JPEG", exif=exif(6), icc_profile=profile)
    for part in (b"Exif\0\0", profile, b"Adobe"):
        assert part in without_comments(whole)
    assert decode_photo(whole).size == (30, 40)


@pytest.mark.parametrize("end", [2, 3, 5, 19, 21, 40])
def test_cut_jpegs_come_back_as_they_are(end: int) -> None:
    data = saved(Image.new("RGB", (40, 30)), "JPEG")[:end]
    assert without_comments(data) == data
