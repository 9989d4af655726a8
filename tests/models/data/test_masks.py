import numpy as np

from models.data.masks import around, box, centre, random_hole, strokes


def test_centre_hides_a_quarter() -> None:
    plane = centre(64)
    assert plane.mean() == 0.75
    assert plane[16:48, 16:48].max() == 0


def test_every_kind_leaves_something_known() -> None:
    rng = np.random.default_rng(0)
    part = np.zeros((64, 64), np.float32)
    part[20:30, 10:20] = 1
    for _ in range(50):
        for plane in (
            box(64, rng),
            strokes(64, rng),
            around(part, rng),
            random_hole(part[None], rng),
        ):
            assert set(np.unique(plane)) == {0.0, 1.0}


def test_part_is_hidden_whole() -> None:
    part = np.zeros((64, 64), np.float32)
    part[20:30, 10:20] = 1
    plane = around(part, np.random.default_rng(0))
    assert not plane[part > 0].any()
