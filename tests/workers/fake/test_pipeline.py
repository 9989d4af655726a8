"""Fake pipelines keep the contract that the worker has with pipelines."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.explanation import ExplanationView
from models.item import Item
from tests.conftest import write_paper_bundle
from workers.fake.pipeline import DrawingPipeline

PHOTO, MASK = Image.new("RGB", (90, 60), "white"), Image.new("L", (90, 60), 255)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_paper_bundle(tmp_path / "paper")
    return tmp_path


def finished(weights: Path, task: str, item: Item) -> tuple[Image.Image, ExplanationView | None]:
    stand_in = DrawingPipeline("paper", task, "fake", weights)
    prepared = stand_in.prepare(item)
    (picture,) = stand_in.forward([prepared])
    return stand_in.finish_output(prepared, picture)


def test_nothing_is_explained_unasked(weights: Path) -> None:
    picture, explanation = finished(weights, "synthesize", Item("a red bird", 1))
    assert picture.size == (256, 256)
    assert explanation is None


@pytest.mark.parametrize("images", [{}, {"image": PHOTO}, {"image": PHOTO, "mask": MASK}])
def test_a_picture_has_the_size_that_was_asked_for(
    weights: Path, images: dict[str, Image.Image]
) -> None:
    task = ("synthesize", "manipulate", "inpaint")[len(images)]
    picture, _ = finished(weights, task, Item("a red bird", 1, images=images, size=128))
    assert picture.size == ((128, 85) if images else (128, 128))


@pytest.mark.parametrize(
    ("task", "images", "name", "features"),
    [
        ("synthesize", {}, "region", set()),
        ("manipulate", {"image": PHOTO}, "attention", {"W", "b"}),
        ("inpaint", {"image": PHOTO, "mask": MASK}, "attention", set()),
    ],
)
def test_explanations_have_the_members_of_real_ones(
    weights: Path, task: str, images: dict[str, Image.Image], name: str, features: set[str]
) -> None:
    item = Item("a zorgly red bird", 1, 2, images, explain=True)
    _, result = finished(weights, task, item)
    assert result is not None
    assert (result.image, result.method, set(result.features)) == (2, "fake", features)
    words = [(w.word, w.start, w.end, w.known, list(w.maps)) for w in result.words]
    assert words == [
        ("a", 0, 1, True, [name]),
        ("zorgly", 2, 8, False, []),
        ("red", 9, 12, True, [name]),
        ("bird", 13, 17, True, [name]),
    ]
    data = base64.b64decode(result.words[2].maps[name].partition("base64,")[2])
    plane = Image.open(io.BytesIO(data))
    assert plane.size == ((128, 85) if images else (128, 128))
    assert np.asarray(plane).max() >= 250


def test_captions_are_mixed(weights: Path) -> None:
    def picture(*blend: tuple[str, float]) -> np.ndarray:
        item = Item(blend[0][0], 1, mixed=blend)
        return np.asarray(finished(weights, "synthesize", item)[0], float)

    red, blue = picture(("a red bird", 1.0)), picture(("a blue bird", 1.0))
    mixed = picture(("a red bird", 0.75), ("a blue bird", 0.25))
    assert np.abs(mixed - (0.75 * red + 0.25 * blue)).max() <= 2
