"""The fake pipelines' pictures: the same for the same text and seed, and true to the masks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image, ImageChops

from jobs.images import encode
from workers.fake.drawing import SIDE, draw, edit, fill

_PRINT = """
import hashlib
from jobs.images import encode
from workers.fake.drawing import draw
print(hashlib.sha256(encode(draw("a red bird", 7))).hexdigest())
"""


def test_text_and_seed_decide_over_every_byte() -> None:
    shown = {
        subprocess.run(
            [sys.executable, "-c", _PRINT], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(shown) == 1
    one = encode(draw("a red bird", 7))
    assert one == encode(draw("a red bird", 7))
    assert one not in (encode(draw("a red bird", 8)), encode(draw("a blue bird", 7)))


def test_candidates_differ_and_less_noise_draws_together() -> None:
    shown = {encode(draw("a red bird", 7, candidate)) for candidate in range(4)}
    assert len(shown) == 4
    assert encode(draw("a red bird", 7)) in shown
    boxes = []
    for scale in (0.0, 1.0):
        picture = draw("a red bird", 7, 0, scale)
        red = picture.crop((0, 0, SIDE, SIDE // 2)).point(lambda v: v).convert("RGB")
        ground = Image.new("RGB", red.size, red.getpixel((0, 0)))
        boxes.append(ImageChops.difference(red, ground).getbbox())
    still, spread = boxes
    assert still and spread  # noqa: PT018
    assert still[2] - still[0] < spread[2] - spread[0]


def test_colours_of_the_text_are_in_the_picture() -> None:
    colours = {colour for _, colour in draw("a red bird", 1).getcolors(SIDE**2) or []}
    assert (255, 0, 0) in colours


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (640, 33)])
def test_pictures_of_every_size_keep_it(size: tuple[int, int]) -> None:
    assert edit(Image.new("RGB", size), "a bird " * 60, 1).size == size


def test_nothing_but_the_hole_is_filled() -> None:
    photo = Image.linear_gradient("L").convert("RGB")
    mask = Image.new("L", photo.size)
    mask.paste(255, (40, 60, 200, 120))
    done = fill(photo, mask, "a red bird", 3)
    assert ImageChops.difference(done, photo).getbbox() == (40, 60, 200, 120)
