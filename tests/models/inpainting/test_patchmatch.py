"""Filling by patches of the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.inpainting.classical import CLASSICAL, METHODS
from models.inpainting.patchmatch import PATCH, Level, fill
from models.pipeline import Item
from models.registry import load

Floats = NDArray[np.float32]
Holes = NDArray[np.bool_]


def stripes(side: int = 96) -> Floats:
    """Diagonal stripes of two colours, eight pixels apart."""
    y, x = np.mgrid[:side, :side]
    dark = (x + y) // 4 % 2 == 0
    colours = np.where(dark[..., None], (0.1, 0.2, 0.6), (0.9, 0.8, 0.1))
    return colours.astype(np.float32)


def square_hole(side: int = 96, start: int = 32, stop: int = 64) -> Holes:
    hole = np.zeros((side, side), bool)
    hole[start:stop, start:stop] = True
    return hole


def noise(side: int = 64) -> Floats:
    return np.random.default_rng(5).random((side, side, 3)).astype(np.float32)


def test_a_vote_is_the_weighted_mean_of_what_the_matches_show() -> None:
    hole = np.zeros((24, 24), bool)
    hole[3:7, 14:17] = hole[12, 5] = True
    random = np.random.default_rng(2)
    level = Level(noise(24), hole)
    before, match = level.pixels.copy(), random.choice(level.sources, len(level.targets))
    weight = random.uniform(0.1, 1, len(match)).astype(np.float32)
    total, mass = np.zeros((24, 24, 3)), np.zeros((24, 24, 1))
    for to, source, w in zip(level.targets, match, weight, strict=True):
        (y, x), (v, u) = divmod(to, level.columns), divmod(source, level.columns)
        total[y : y + PATCH, x : x + PATCH] += w * before[v : v + PATCH, u : u + PATCH]
        mass[y : y + PATCH, x : x + PATCH] += w
    level.vote(match, weight)
    assert np.allclose(level.pixels[hole], total[hole] / mass[hole], atol=1e-6)
    assert np.array_equal(level.pixels[~hole], before[~hole])


def test_texture_is_restored_better_than_by_diffusion() -> None:
    picture, hole = stripes(), square_hole()
    bytes_ = np.round(picture * 255).astype(np.uint8)
    bytes_[hole] = 0
    errors = {}
    for name, method in METHODS.items():
        filled = method(bytes_, hole, 1) / 255
        errors[name] = np.abs(filled - picture)[hole].mean()
    assert errors["patchmatch"] < 0.05
    assert errors["patchmatch"] < 0.25 * min(errors["telea"], errors["navier-stokes"])


def test_known_pixels_are_identical() -> None:
    picture, hole = noise(), square_hole(64, 20, 50)
    filled = fill(picture, hole, 3)
    assert np.array_equal(filled[~hole], picture[~hole])
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_hidden_pixels_are_not_seen() -> None:
    picture, hole = noise(), square_hole(64, 20, 50)
    other = np.where(hole[..., None], 0.5, picture).astype(np.float32)
    assert np.array_equal(fill(picture, hole, 3), fill(other, hole, 3))


def test_a_seed_decides() -> None:
    picture, hole = noise(), square_hole(64, 20, 50)
    first, again, other = (fill(picture, hole, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "box", [(0, 0, 20, 20), (50, 30, 64, 64), (0, 20, 64, 30), (5, 5, 60, 60), (0, 0, 64, 64)]
)
def test_holes_anywhere_are_filled(box: tuple[int, int, int, int]) -> None:
    hole = np.zeros((64, 64), bool)
    hole[box[0] : box[2], box[1] : box[3]] = True
    filled = fill(stripes(64), hole, 0)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~hole], stripes(64)[~hole])


def test_pictures_smaller_than_patches_are_filled() -> None:
    hole = np.zeros((9, 9), bool)
    hole[4, 4] = True
    grey = np.full((9, 9, 3), 0.5, np.float32)
    assert np.abs(fill(grey, hole, 0) - grey).max() < 0.01


def test_every_hidden_pixel_lies_under_a_target() -> None:
    hole = square_hole(32, 0, 9)
    level = Level(noise(32), hole)
    covered = np.zeros_like(hole)
    for y, x in zip(level.y, level.x, strict=True):
        covered[y : y + PATCH, x : x + PATCH] = True
    assert covered[hole].all()
    assert len(level.targets) + len(level.sources) == (32 - PATCH + 1) ** 2


@pytest.mark.parametrize("method", CLASSICAL)
def test_bundles_offer_every_classical_method(tiny: Path, method: str) -> None:
    photo = Image.fromarray(np.round(noise() * 255).astype(np.uint8))
    mask = Image.fromarray(square_hole(64, 20, 50).astype(np.uint8) * 255)
    item = Item("", 1, 0, {"image": photo, "mask": mask})
    pipeline = load(tiny, "inpaint", method, "cpu")
    first, second = pipeline.run([item, item]).pictures
    assert isinstance(first, Image.Image), first
    assert isinstance(second, Image.Image), second
    assert first.tobytes() == second.tobytes()
    hole = np.asarray(mask) > 0
    assert np.array_equal(np.asarray(first)[~hole], np.asarray(photo)[~hole])
    assert (np.asarray(first)[hole] != np.asarray(photo)[hole]).any()


def test_large_photos_are_filled(tiny: Path) -> None:
    photo, mask = Image.new("RGB", (1500, 900), "red"), Image.new("L", (1500, 900), 0)
    mask.paste(255, (100, 100, 700, 800))
    pipeline = load(tiny, "inpaint", "patchmatch", "cpu")
    picture = pipeline.run([Item("", 1, 0, {"image": photo, "mask": mask})]).pictures[0]
    assert isinstance(picture, Image.Image), picture
    assert np.abs(np.asarray(picture).astype(int) - (255, 0, 0)).max() <= 1
