"""Files that would keep a decoder busy are distinguished from those that merely have many parts."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from jobs.errors import ImageProblem
from jobs.image_files import MAX_PARTS, MAX_SCANNED, MAX_SCANS, check_part_count
from jobs.images import decode_photo
from tests.picture_files import chunk, jpeg, photo, png, saved, scan_bomb, segment


def refused(data: bytes) -> bool:
    try:
        check_part_count(data, "image")
    except ImageProblem as problem:
        return problem.status == 422 and "save it again" in problem.detail
    return False


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_ordinary_jpegs_pass(options: dict[str, object]) -> None:
    assert not refused(saved(photo(800, 600), "JPEG", quality=95, **options))


def test_scans_are_counted() -> None:
    assert not refused(scan_bomb(64, 64, MAX_SCANS))
    assert refused(scan_bomb(64, 64, MAX_SCANS + 1))


def test_the_larger_the_picture_the_fewer_its_scans() -> None:
    width, height = 4000, 5000
    most = MAX_SCANNED // (width * height)
    assert most < MAX_SCANS
    assert decode_photo(scan_bomb(width, height, most)).size == (width, height)
    with pytest.raises(ImageProblem, match="save it again"):
        decode_photo(scan_bomb(width, height, most + 1))


def test_what_lies_behind_a_jpeg_is_not_counted() -> None:
    """Phones put a film there."""
    film = np.random.default_rng(0).bytes(2**20) + b"\xff\xda\0\2" * 1000
    assert not refused(saved(photo(), "JPEG") + film)


def test_a_thumbnail_is_not_counted() -> None:
    preview = segment(0xE1, b"Exif\0\0" + scan_bomb(8, 8, MAX_SCANS + 1)[:60_000])
    data = saved(photo(), "JPEG")
    assert not refused(data[:2] + preview + data[2:])


def test_segments_and_chunks_are_counted() -> None:
    assert refused(jpeg(*[segment(0xFE)] * (MAX_PARTS + 1)))
    assert refused(png(*[chunk(b"teSt")] * MAX_PARTS))
    assert not refused(png(*[chunk(b"teSt")] * (MAX_PARTS - 3)))


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xff"]
)
def test_others_are_left_to_their_decoder(data: bytes) -> None:
    assert not refused(data)


@pytest.mark.parametrize("filling", [b"\xff", b"\0", b"\xff\0", b"\xff\xff\0", b"\xff\xd0"])
def test_sixty_megabytes_are_looked_through_in_no_time(filling: bytes) -> None:
    data = b"\xff\xd8" + filling * (60 * 2**20 // len(filling))
    started = time.monotonic()
    check_part_count(data, "image")
    assert time.monotonic() - started < 20


def test_what_passes_is_decoded_in_no_time() -> None:
    """A hundred scans of twelve megapixels, as bad as it gets for the size."""
    started = time.monotonic()
    with Image.open(io.BytesIO(scan_bomb(4000, 3000, MAX_SCANS))) as image:
        image.load()
    assert time.monotonic() - started < 60
