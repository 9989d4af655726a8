"""Uploads as people send them: each is used as they expect, or refused with a sentence."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from jobs.errors import ImageProblem
from jobs.images import ImageLimits, decode_photo, encode, is_srgb, normalize_photo
from tests.picture_files import exif, grey_profile, header, png, rgb_profile, saved
from tests.picture_files import photo as a_photo


def test_png_comes_back_exactly() -> None:
    photo = a_photo()
    assert np.array_equal(np.asarray(decode_photo(saved(photo))), np.asarray(photo))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_formats_come_close(kind: str) -> None:
    photo = a_photo().resize((200, 150), Image.Resampling.BICUBIC)
    decoded = np.asarray(decode_photo(saved(photo, kind, quality=95)), np.int16)
    assert np.abs(decoded - np.asarray(photo, np.int16)).mean() < 12


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate 90° clockwise to view
    decoded = decode_photo(saved(a_photo(40, 30), "JPEG", exif=exif))
    assert decoded.size == (30, 40)


def test_every_orientation_is_turned_upright() -> None:
    upright = Image.new("RGB", (40, 30), "white")
    upright.paste((200, 0, 0), (0, 0, 20, 15))  # red in the upper left corner
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions, undone
    for orientation, method in back.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright.transpose(Image.Transpose(method))
        decoded = decode_photo(saved(stored, "PNG", exif=exif))
        assert np.array_equal(np.asarray(decoded), np.asarray(upright)), orientation


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert decode_photo(saved(image)).getpixel((5, 5)) == (255, 255, 255)


def test_palette_grey_and_bilevel() -> None:
    for mode in ("P", "L", "1", "LA"):
        assert decode_photo(saved(a_photo().convert(mode))).mode == "RGB"


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    decoded = np.asarray(decode_photo(saved(Image.fromarray(ramp))))[..., 0]
    assert decoded[0, 0] == 0
    assert decoded[-1, -1] == 255
    assert abs(int(decoded[16, 0]) - 128) <= 2


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (32, 32), (220, 20, 30)).convert("CMYK")
    r, g, b = decode_photo(saved(red, "JPEG", quality=95)).getpixel((16, 16))  # type: ignore[misc]
    assert r > 180
    assert g < 70
    assert b < 80


def test_animations_are_refused() -> None:
    frames = [a_photo(), a_photo().rotate(90)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    with pytest.raises(ImageProblem, match="animated") as caught:
        decode_photo(data)
    assert caught.value.status == 422


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncated_files_are_refused(kind: str) -> None:
    data = saved(a_photo(200, 200), kind)
    with pytest.raises(ImageProblem) as caught:
        decode_photo(data[: len(data) // 2])
    assert caught.value.status == 422
    assert "broken or cut off" in caught.value.detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><body>not a picture</body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        saved(a_photo(), "GIF"),
        saved(a_photo(), "TIFF"),
        b"%PDF-1.4",
    ],
)
def test_what_is_no_picture_is_415(data: bytes) -> None:
    with pytest.raises(ImageProblem) as caught:
        decode_photo(data)
    assert caught.value.status == 415
    assert "PNG, JPEG or WebP" in caught.value.detail


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_hundred_megapixels_are_refused_before_they_are_decoded() -> None:
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(ImageProblem, match="larger than 50 megapixels") as caught:
        decode_photo(data)
    assert caught.value.status == 413


def test_tiny_pictures_are_refused() -> None:
    with pytest.raises(ImageProblem, match="at least"):
        decode_photo(saved(a_photo(4, 40)))


def test_limits_are_settings() -> None:
    with pytest.raises(ImageProblem):
        decode_photo(saved(a_photo()), limits=ImageLimits(max_pixels=100))


def test_encode_writes_no_metadata() -> None:
    photo = a_photo()
    photo.info["comment"] = "secret"
    for kind in ("png", "jpeg", "webp"):
        data = encode(photo, kind)
        assert b"secret" not in data
        assert decode_photo(data).size == photo.size


TEAL = (20, 160, 150)
WIDE = rgb_profile((0.61, 0.31, 0.02), (0.2, 0.63, 0.07), (0.15, 0.06, 0.74))
LONG = WIDE + bytes(70_000)  # more than fits into one segment of a JPEG
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def as_srgb(colour: tuple[int, ...], mode: str, profile: bytes) -> tuple[int, ...]:
    """One colour by LittleCMS itself."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    pixel = Image.new(mode, (1, 1), colour if len(colour) > 1 else colour[0])
    made = ImageCms.profileToProfile(
        pixel, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert made
    return made.getpixel((0, 0))  # type: ignore[return-value]


def teal(mode: str) -> Image.Image:
    image = Image.new("RGB", (32, 32), TEAL)
    return image.quantize(2) if mode == "P" else image.convert(mode)


def middle(data: bytes) -> np.ndarray:
    made = decode_photo(data)
    return np.asarray(made, np.int16)[made.height // 2, made.width // 2]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("P", "PNG"),
        ("RGB", "JPEG"),
        ("RGB", "WEBP"),
        ("RGBA", "WEBP"),
    ],
)
def test_profiles_count_in_every_mode(mode: str, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 98} if kind == "JPEG" else {}
    data = saved(teal(mode), kind, icc_profile=WIDE, **options)
    expected = as_srgb(TEAL, "RGB", WIDE)
    assert max(abs(np.array(expected) - TEAL)) > 8
    assert max(abs(middle(data) - expected)) <= 3


def test_a_transparent_entry_of_a_palette_with_a_profile_is_white() -> None:
    image = Image.new("P", (32, 32), 0)
    image.putpalette([*TEAL, 9, 9, 9])
    image.paste(1, (0, 0, 10, 10))
    made = decode_photo(saved(image, icc_profile=WIDE, transparency=1))
    assert made.getpixel((5, 5)) == (255, 255, 255)
    assert made.getpixel((20, 20)) == as_srgb(TEAL, "RGB", WIDE)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profiles_count_with_and_without_alpha(mode: str) -> None:
    profile = grey_profile(1.0)
    data = saved(Image.new("L", (32, 32), 60).convert(mode), icc_profile=profile)
    assert tuple(middle(data)) == as_srgb((60,), "L", profile)
    assert middle(data)[0] > 100


def test_grey_of_sixteen_bits_with_alpha_has_its_profile() -> None:
    samples = zlib.compress((b"\0" + b"\x3c\x3c\xff\xff" * 40) * 30)
    profile = grey_profile(1.0)
    packed = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    data = png(packed, head=header(40, 30, 16, 4), pixels=chunk(b"IDAT", samples))
    assert tuple(middle(data)) == as_srgb((60,), "L", profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_of_other_colours_is_ignored(mode: str) -> None:
    data = saved(teal(mode), icc_profile=grey_profile(1.0))
    assert tuple(middle(data)) == TEAL


def two_halves(depth: int, colour: int, left: bytes, right: bytes, clear: bytes) -> bytes:
    """A PNG of 32×16 pixels: rows of ``left`` and then ``right``, one sample of it transparent."""
    raw = zlib.compress((b"\0" + left + right) * 16)
    return png(
        chunk(b"tRNS", clear), head=header(32, 16, depth, colour), pixels=chunk(b"IDAT", raw)
    )


@pytest.mark.parametrize(
    ("data", "right"),
    [
        (two_halves(16, 0, b"\x30\x01" * 16, b"\x30\x02" * 16, b"\x30\x01"), 48),
        (two_halves(16, 2, b"\x30\x00" * 48, b"\x90\x00" * 48, b"\x30\x00" * 3), 144),
        (two_halves(4, 0, b"\x55" * 8, b"\xaa" * 8, b"\x00\x05"), 170),
        (two_halves(2, 0, b"\x55" * 4, b"\xaa" * 4, b"\x00\x01"), 170),
    ],
    ids=["grey16", "rgb16", "grey4", "grey2"],
)
def test_one_transparent_colour_of_any_depth(data: bytes, right: int) -> None:
    made = decode_photo(data)
    assert made.getpixel((8, 8)) == (255, 255, 255)
    assert made.getpixel((24, 8)) == (right,) * 3


def test_a_large_webp_is_written_in_little_memory() -> None:
    code = """
import io, os, resource
from PIL import Image
from jobs.images import encode
image = Image.frombytes("RGB", (3500, 3000), os.urandom(31_500_000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = encode(image, "webp")
assert Image.open(io.BytesIO(data)).size == image.size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 150 * 1024  # kilobytes; 300 by the default method


def gps(orientation: int) -> Image.Exif:
    made = exif(orientation)
    made[0x010F] = "a camera"
    made.get_ifd(0x8825)[1] = "N"
    return made


JPEGS = {
    "baseline": saved(a_photo(90, 60), "JPEG"),
    "progressive": saved(a_photo(90, 60), "JPEG", progressive=True),
    "with restarts": saved(a_photo(90, 60), "JPEG", restart_marker_blocks=2),
    "coarse colours": saved(a_photo(90, 60), "JPEG", subsampling="4:2:0"),
    "no change of colours": saved(a_photo(90, 60), "JPEG", keep_rgb=True),
    "grey": saved(a_photo(90, 60).convert("L"), "JPEG"),
    "cmyk": saved(a_photo(90, 60).convert("CMYK"), "JPEG"),
    "with a comment": saved(a_photo(90, 60), "JPEG", comment=b"secret"),
    "with a description": saved(a_photo(90, 60), "JPEG", xmp=b"<x:xmpmeta>secret</x:xmpmeta>"),
    "with something behind": saved(a_photo(90, 60), "JPEG") + b"secret" * 99,
    "two in one": saved(a_photo(90, 60), "MPO", save_all=True, append_images=[a_photo(90, 60)]),
    **{f"turned by {n}": saved(a_photo(90, 60), "JPEG", exif=gps(n)) for n in range(1, 9)},
    "wide colours": saved(a_photo(90, 60), "JPEG", exif=gps(6), icc_profile=WIDE),
    "sRGB by a profile": saved(a_photo(90, 60), "JPEG", icc_profile=SRGB),
    "a grey profile": saved(a_photo(90, 60).convert("L"), "JPEG", icc_profile=grey_profile(1.8)),
    "a profile of other colours": saved(a_photo(90, 60), "JPEG", icc_profile=grey_profile(1.8)),
    "a profile of no kind": saved(a_photo(90, 60), "JPEG", icc_profile=b"secret" * 99),
    "a profile of two parts": saved(a_photo(90, 60), "JPEG", icc_profile=LONG),
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_is_stored_as_its_coded_pixels_and_orientation(data: bytes) -> None:
    stored, decoded = normalize_photo(data)
    assert stored.startswith(b"\xff\xd8")
    assert len(stored) <= len(data)
    for picture in (decoded, decode_photo(stored)):
        assert np.array_equal(np.asarray(picture), np.asarray(decode_photo(data)))
    for hidden in (b"secret", b"camera", b"MPF", b"ns.adobe.com"):
        assert hidden not in stored
    with Image.open(io.BytesIO(stored)) as image:
        assert set(image.getexif()) <= {0x0112}
        assert not image.getexif().get_ifd(0x8825)
        assert image.format == "JPEG"
        assert getattr(image, "n_frames", 1) == 1
    assert normalize_photo(stored)[0] == stored


@pytest.mark.parametrize(("name", "kept"), [("wide colours", WIDE), ("sRGB by a profile", None)])
def test_the_profile_that_colours_need_is_kept(name: str, kept: bytes | None) -> None:
    stored, decoded = normalize_photo(JPEGS[name])
    with Image.open(io.BytesIO(stored)) as image:
        assert image.info.get("icc_profile") == kept
        coded = np.asarray(image.convert("RGB"), np.int16)
    turned = np.asarray(decoded.rotate(90, expand=True) if kept else decoded, np.int16)
    assert (np.abs(turned - coded).max() > 9) == bool(kept)


def test_srgb_is_known_however_it_is_written() -> None:
    """By its colours, not by its name: primaries of sRGB as the D50 of profiles has them."""
    assert is_srgb(SRGB)
    assert is_srgb(SRGB + b"more")
    assert not is_srgb(WIDE)
    assert not is_srgb(grey_profile(1.8))
    assert not is_srgb(b"nonsense")


def segment_at_the_end(kind: int) -> bytes:
    """Of a JPEG whose pixels have been there already, with something loose behind it."""
    hidden = b"secret" * 9
    segment = bytes((0xFF, kind)) + (len(hidden) + 2).to_bytes(2, "big") + hidden
    return JPEGS["baseline"][:-2] + segment + b"secret" + b"\xff\xd9"


@pytest.mark.parametrize("kind", [0xE1, 0xED, 0xFE, 0xDC])
def test_nothing_hides_behind_a_jpegs_pixels(kind: int) -> None:
    data = segment_at_the_end(kind)
    stored, decoded = normalize_photo(data)
    assert b"secret" not in stored
    assert np.array_equal(np.asarray(decoded), np.asarray(decode_photo(JPEGS["baseline"])))


NO_JPEGS = {
    "png": saved(a_photo(90, 60)),
    "webp": saved(a_photo(90, 60), "WEBP"),
}


@pytest.mark.parametrize("data", NO_JPEGS.values(), ids=NO_JPEGS)
def test_other_photos_are_stored_as_pngs(data: bytes) -> None:
    stored, decoded = normalize_photo(data)
    assert stored == encode(decoded)
    assert np.array_equal(np.asarray(decoded), np.asarray(decode_photo(data)))


@pytest.mark.parametrize("data", [*JPEGS.values(), *NO_JPEGS.values()], ids=[*JPEGS, *NO_JPEGS])
def test_a_photo_that_is_cut_is_refused_in_the_same_words(data: bytes) -> None:
    cut = data[: len(data) // 3]
    with pytest.raises(ImageProblem) as expected:
        decode_photo(cut)
    with pytest.raises(ImageProblem) as refused:
        normalize_photo(cut)
    assert str(refused.value) == str(expected.value)
    assert refused.value.status == expected.value.status


def test_a_photo_of_many_megapixels_is_soon_stored() -> None:
    """Written as a PNG it would take ten times as long as reading it."""
    noise = np.random.default_rng(0).integers(0, 256, (75, 100, 3), np.uint8)
    large = Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC)
    data = saved(large, "JPEG", quality=90)
    began = time.process_time()
    decode_photo(data)
    read = time.process_time() - began
    stored, _ = normalize_photo(data)
    assert time.process_time() - began - read < 3 * read
    assert len(stored) == len(data)
