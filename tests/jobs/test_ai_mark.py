"""Generated images say so, in every format and whatever is made of them."""

from __future__ import annotations

import io
from xml.parsers.expat import ParserCreate

import pytest
from PIL import Image

from app.gateway.openai.scaling import TargetSize, _scale
from jobs.ai_mark import ai_mark, read_mark
from jobs.images import MOVING, encode, encode_frames

FRAMES = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("extension", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("synthesize", b"/trainedAlgorithmicMedia"),
        ("inpaint", b"/compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_images_are_marked(extension: str, task: str, kind: bytes) -> None:
    data = encode(FRAMES[0], extension, ai_mark(task))
    assert kind in read_mark(opened(data))
    ParserCreate().Parse(ai_mark(task), True)  # well-formed
    plain = encode(FRAMES[0], extension)
    assert read_mark(opened(plain)) == b""
    assert opened(plain).tobytes() == opened(data).tobytes()
    assert len(data) - len(plain) < 600


@pytest.mark.parametrize("extension", ["png", "jpeg", "webp", "gif"])
def test_morphs_are_marked(extension: str) -> None:
    data, _ = encode_frames(FRAMES, extension, ai_mark("synthesize"))
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in data
    assert getattr(opened(data), "n_frames", 1) == (3 if extension in MOVING else 1)


def test_scaled_images_keep_their_mark() -> None:
    data = encode(FRAMES[0], "png", ai_mark("synthesize"))
    scaled = opened(_scale(data, TargetSize(64, 64), "jpeg"))
    assert read_mark(scaled) == ai_mark("synthesize")
