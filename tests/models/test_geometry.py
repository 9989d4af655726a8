"""Geometry of photos of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.geometry import (
    MAX_SQUARES,
    Letterbox,
    cut,
    enlarge_change,
    paste,
    shrink,
    shrink_hole,
    squares,
)

BOXES = st.tuples(
    st.integers(0, 380), st.integers(0, 280), st.integers(1, 200), st.integers(1, 150)
)


def hole_of(
    boxes: list[tuple[int, int, int, int]], width: int = 400, height: int = 300
) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    for x, y, w, h in boxes:
        hole[y : y + h, x : x + w] = True
    return hole


@settings(max_examples=60, deadline=None)
@given(st.lists(BOXES, min_size=1, max_size=12))
def test_squares_cover_the_hole_and_stay_apart(boxes: list[tuple[int, int, int, int]]) -> None:
    hole = hole_of(boxes)
    found = squares(hole, 64)
    assert 1 <= len(found) <= MAX_SQUARES
    covered = np.zeros(hole.shape, int)
    for s in found:
        covered[max(s.y, 0) : s.y + s.side, max(s.x, 0) : s.x + s.side] += 1
    assert (covered[hole] == 1).all()


def test_far_apart_holes_get_their_own_squares() -> None:
    assert len(squares(hole_of([(5, 5, 20, 20), (370, 270, 20, 20)]), 64)) == 2
    assert len(squares(hole_of([(100, 100, 20, 20), (130, 100, 20, 20)]), 64)) == 1


def test_a_square_shows_context_at_no_finer_grain_than_the_network() -> None:
    (small,) = squares(hole_of([(200, 150, 4, 4)]), 64)
    assert small.side == 64
    (large,) = squares(hole_of([(150, 100, 80, 60)]), 64)
    assert large.side == 240


def test_cut_mirrors_what_lies_outside() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (wide,) = squares(np.ones((3, 4), bool), 2)
    assert wide.side == 4
    crop = cut(picture, wide)
    assert crop.shape == (4, 4)
    assert crop[0].tolist() == picture[0].tolist()
    assert crop[-1].tolist() == picture[-1].tolist()


def test_paste_leaves_known_pixels_alone_and_hides_the_seam() -> None:
    photo = np.full((120, 160, 3), 100, np.uint8)
    hole = hole_of([(60, 40, 40, 40)], 160, 120)
    (square,) = squares(hole, 64)
    made = np.full((64, 64, 3), 0.6, np.float32)  # brighter than the photo
    made[30:34, 30:34] = 0.2  # and with a dark spot in the middle of the hole
    before = photo.copy()
    paste(photo, hole, square, made)
    assert np.array_equal(photo[~hole], before[~hole])
    assert abs(int(photo[41, 80, 0]) - 100) <= 2
    spot = np.asarray(photo[..., 0]).min()
    assert spot < 100 - 0.3 * 255


def test_shrunken_holes_never_lose_a_pixel() -> None:
    hole = hole_of([(7, 9, 1, 1)], 256, 256)
    assert (shrink_hole(hole, 64) == 0).sum() >= 1
    assert shrink(np.full((256, 256, 3), 51, np.uint8), 64)[0, 0, 0] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("size", [(1000, 400), (400, 1000), (64, 64), (33, 900)])
def test_letterbox_round_trip(size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, (10, 200, 30))
    box = Letterbox.of(*size, 64)
    square = box.fit(photo)
    assert square.shape == (64, 64, 3)
    inner = box.crop(square)
    assert inner.shape[:2] == (box.height, box.width)
    assert max(inner.shape[:2]) == 64


def test_no_change_returns_the_photo_itself() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 500, 3), np.uint8))
    box = Letterbox.of(500, 300, 64)
    before = box.crop(box.fit(photo))
    assert np.array_equal(np.asarray(enlarge_change(photo, before, before)), np.asarray(photo))


def test_a_change_ends_at_the_photos_edges() -> None:
    pixels = np.full((320, 320, 3), 230, np.uint8)
    pixels[80:240, 80:240] = (200, 40, 40)
    photo = Image.fromarray(pixels)
    box = Letterbox.of(320, 320, 64)
    before = box.crop(box.fit(photo))
    after = before.copy()
    inside = before[..., 1] < 0.5
    after[inside] = (0.15, 0.15, 0.8)
    result = np.asarray(enlarge_change(photo, before, after)).astype(int)
    assert np.abs(result[160, 160] - (38, 38, 204)).max() <= 12
    assert np.abs(result[160, 84] - (38, 38, 204)).max() <= 40  # four pixels inside the edge
    assert np.abs(result[160, 74] - 230).max() <= 25  # six pixels outside
    assert np.abs(result[10, 10] - 230).max() <= 2


def test_detail_survives_an_edit() -> None:
    noise = np.random.default_rng(1).integers(-20, 20, (512, 512, 3))
    pixels = np.clip(120 + noise, 0, 255).astype(np.uint8)
    photo = Image.fromarray(pixels)
    box = Letterbox.of(512, 512, 64)
    before = box.crop(box.fit(photo))
    after = before + np.array([0.2, 0, 0], np.float32)
    result = np.asarray(enlarge_change(photo, before, after)).astype(float)
    kept = np.corrcoef(result[..., 0].ravel(), pixels[..., 0].ravel())[0, 1]
    assert kept > 0.95
    assert result[..., 0].mean() - pixels[..., 0].mean() == pytest.approx(51, abs=4)


def test_a_new_pattern_is_drawn_and_imprecision_elsewhere_is_not() -> None:
    photo = Image.new("RGB", (512, 512), (120, 120, 120))
    before = np.full((64, 64, 3), 120 / 255, np.float32)
    imprecision = np.random.default_rng(2).uniform(-0.02, 0.02, before.shape).astype(np.float32)
    after = before + imprecision
    after[16:48, 16:48] += 0.3 * (np.arange(32) % 8 < 4)[:, None]  # stripes of four pixels
    result = np.asarray(enlarge_change(photo, before, after)).astype(float) - 120
    middle = result[256, 192:384, 0].reshape(-1, 64)  # a period is 64 pixels
    assert (middle[:, 8:24].mean(), middle[:, 40:56].mean()) == pytest.approx((76, 0), abs=12)
    assert np.abs(result[:64, :64]).max() <= 3
