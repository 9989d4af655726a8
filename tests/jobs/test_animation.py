"""Frames that move, and frames side by side."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from jobs.images import encode_frames

COLOURS = [(250, 10, 20), (130, 90, 60), (10, 200, 90)]
FRAMES = [Image.new("RGB", (20, 16), colour) for colour in COLOURS]


@pytest.mark.parametrize("extension", ["webp", "gif"])
def test_animations_hold_every_frame_and_never_end(extension: str) -> None:
    data, size = encode_frames(FRAMES, extension)
    assert size == (20, 16)
    with Image.open(io.BytesIO(data)) as moving:
        assert (moving.format, moving.n_frames) == (extension.upper(), 3)
        assert moving.info["loop"] == 0
        for place, colour in enumerate(COLOURS):
            moving.seek(place)
            seen = np.asarray(moving.convert("RGB"), int)[8, 10]
            assert np.abs(seen - colour).max() <= 8
            assert moving.info["duration"] == (80 if place == 1 else 800)


@pytest.mark.parametrize("extension", ["png", "jpeg"])
def test_strips_lie_side_by_side(extension: str) -> None:
    data, size = encode_frames(FRAMES, extension)
    assert size == (60, 16)
    strip = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)
    for place, colour in enumerate(COLOURS):
        assert np.abs(strip[8, 20 * place + 10] - colour).max() <= 3
