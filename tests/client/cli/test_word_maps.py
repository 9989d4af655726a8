"""Explanations as one picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mmml import Explanation, Word
from mmml.cli.output import SIDE, draw_word_maps

PICTURE = Image.new("RGB", (60, 30), (200, 100, 50))


def word(text: str, brightness: int | None, peak: float | None = 1.0) -> Word:
    maps = {} if brightness is None else {"region": Image.new("L", (12, 6), brightness)}
    return Word(text, 0, len(text), brightness is not None, maps, peak)


def test_a_tile_for_each_word_with_a_map() -> None:
    words = (word("red", 255), word("zorgly", None, None), word("bird", 255, 0.5), word("a", 0))
    made = draw_word_maps(PICTURE, Explanation(0, "fake", words, {}))
    assert made is not None
    assert made.size == (3 * SIDE, SIDE // 2 + 18)
    centres = [np.asarray(made)[SIDE // 4, SIDE // 2 + k * SIDE].astype(int) for k in range(3)]
    assert tuple(centres[0]) == (200, 100, 50)
    assert tuple(centres[2]) == (30, 15, 7)
    assert (centres[2] < centres[1]).all()
    assert (centres[1] < centres[0]).all()


def test_nothing_to_show() -> None:
    assert (
        draw_word_maps(PICTURE, Explanation(0, "fake", (word("zorgly", None, None),), {})) is None
    )


def test_animations_show_their_first_picture() -> None:
    moving = Image.new("P", (40, 40))
    assert draw_word_maps(moving, Explanation(0, "fake", (word("red", 9),), {})) is not None
