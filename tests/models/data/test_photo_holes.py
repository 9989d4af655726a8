"""Holes for photos, with and without a known object."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.masks import random_photo_hole, shape_of


def thing(rows: slice, columns: slice, size: int = 64) -> np.ndarray:
    plane = np.zeros((size, size), np.float32)
    plane[rows, columns] = 1
    return plane


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_is_grown_evenly(seed: int) -> None:
    reach = int(np.random.default_rng(seed).integers(1, 6))
    hole = shape_of(thing(slice(20, 30), slice(10, 40)), np.random.default_rng(seed))
    grown = thing(slice(20 - reach, 30 + reach), slice(10 - reach, 40 + reach))
    assert np.array_equal(hole, 1 - grown)


def test_an_outline_at_the_border_stays_inside() -> None:
    hole = shape_of(thing(slice(0, 3), slice(61, 64)), np.random.default_rng(0))
    assert not hole[:3, 61:].any()
    assert hole[20:, :40].all()


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("filled", [0.0, 0.3, 1.0])
def test_something_stays_known_and_something_is_hidden(size: int, filled: float) -> None:
    edge = int(size * filled)
    rng = np.random.default_rng(0)
    for _ in range(60):
        hole = random_photo_hole(thing(slice(edge), slice(edge), size), size, rng)
        assert hole.shape == (size, size)
        assert hole.dtype == np.float32
        assert 0.2 < hole.mean() < 1


def test_an_unknown_object_leaves_the_other_kinds() -> None:
    a, b = (np.random.default_rng(3) for _ in range(2))
    empty = np.zeros((64, 64), np.float32)
    for _ in range(10):
        assert np.array_equal(random_photo_hole(None, 64, a), random_photo_hole(empty, 64, b))
