"""Uploads as people send them: each is used as they expect, or refused with a sentence."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jobs.errors import ImageProblem
from jobs.images import (
    ImageLimits,
    alpha_mask,
    box_mask,
    check_mask,
    decode_mask,
    decode_photo,
    encode,
)
from tests.picture_files import photo as a_photo
from tests.picture_files import saved


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


def test_mask_is_split_at_half() -> None:
    grey = Image.fromarray(np.array([[0, 127, 128, 255]] * 16, np.uint8).repeat(5, 1))
    assert sorted(set(np.asarray(decode_mask(saved(grey)))[0])) == [0, 255]
    assert list(np.asarray(decode_mask(saved(grey)))[0][::5]) == [0, 0, 255, 255]


def test_photo_transparency_as_mask() -> None:
    image = Image.new("RGBA", (20, 20), (9, 9, 9, 255))
    image.paste((0, 0, 0, 0), (5, 5, 10, 10))
    mask = np.asarray(alpha_mask(saved(image)))
    assert mask[6, 6] == 255
    assert mask[0, 0] == 0
    assert mask.mean() / 255 == pytest.approx(25 / 400)


def test_opaque_photo_has_no_alpha_mask() -> None:
    with pytest.raises(ImageProblem, match="no transparency"):
        alpha_mask(saved(a_photo()))


def test_box_mask_lies_inside() -> None:
    mask = np.asarray(box_mask((2, 3, 4, 5), (20, 20)))
    assert mask.sum() // 255 == 20
    assert mask[3, 2] == mask[7, 5] == 255
    for box in ((18, 0, 5, 5), (-1, 0, 5, 5), (0, 0, 0, 5)):
        with pytest.raises(ImageProblem, match="inside the photo"):
            box_mask(box, (20, 20))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (Image.new("L", (10, 30), 255), "send a mask of the photo's size"),
        (Image.new("L", (40, 30), 0), "all black"),
        (Image.new("L", (40, 30), 255), "all white"),
    ],
)
def test_unusable_masks(mask: Image.Image, words: str) -> None:
    with pytest.raises(ImageProblem, match=words) as caught:
        check_mask(mask, a_photo())
    assert caught.value.status == 422


def test_encode_writes_no_metadata() -> None:
    photo = a_photo()
    photo.info["comment"] = "secret"
    for kind in ("png", "jpeg", "webp"):
        data = encode(photo, kind)
        assert b"secret" not in data
        assert decode_photo(data).size == photo.size
