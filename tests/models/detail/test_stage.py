"""What the three pipelines do with a bundle's detail stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InputProblem, ModelsError
from models.pipeline import Item, Pipeline, pattern
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from tests.models.tiny import SIZE

LARGE = 4 * SIZE


def made(pipeline: Pipeline[Any], *items: Item) -> list[Image.Image]:
    pictures = pipeline.run(items).pictures
    assert not [p for p in pictures if isinstance(p, ModelsError)]
    return [p for p in pictures if isinstance(p, Image.Image)]


def pixels(picture: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(picture, np.int16)


def filling(side: int) -> Item:
    mask = Image.new("L", (side, side))
    mask.paste(255, (side // 3, side // 3, 2 * side // 3, 2 * side // 3))
    return Item("bird", 3, images={"image": pattern(side), "mask": mask})


@pytest.fixture
def drawing(tiny_detailed: Path) -> SynthesisPipeline:
    pipeline = load(tiny_detailed, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    return pipeline


def test_a_picture_is_as_large_as_the_stage_makes_it_unless_asked_otherwise(
    drawing: SynthesisPipeline,
) -> None:
    sizes = (None, LARGE, 64, SIZE)
    pictures = made(drawing, *(Item("bird", 5, size=size) for size in sizes))
    assert [p.size[0] for p in pictures] == [LARGE, LARGE, 64, SIZE]
    large = pixels(pictures[0])
    assert (large == pixels(pictures[1])).all()
    halves = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halves - pixels(pictures[2])).max() <= 1


def test_the_small_picture_is_the_generators_own(drawing: SynthesisPipeline, tiny: Path) -> None:
    plain = load(tiny, "synthesize", None, "cpu")
    (small,), (own,) = made(drawing, Item("bird", 5, size=SIZE)), made(plain, Item("bird", 5))
    assert (pixels(small) == pixels(own)).all()


def test_more_than_the_stage_makes_is_refused(drawing: SynthesisPipeline, tiny: Path) -> None:
    with pytest.raises(InputProblem, match="up to 128 pixels"):
        drawing.prepare(Item("bird", 5, size=256))
    with pytest.raises(InputProblem, match="up to 32 pixels"):
        load(tiny, "synthesize", None, "cpu").prepare(Item("bird", 5, size=64))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_stage_gives_a_picture_the_same_bits_in_any_batch(
    tiny_detailed: Path, precision: str
) -> None:
    pipeline = load(tiny_detailed, "synthesize", None, "cpu", precision)
    prepared = [pipeline.prepare(Item("bird", seed)) for seed in range(5)]
    prepared[2] = pipeline.prepare(Item("bird", 2, size=SIZE))  # beside one that needs no stage
    alone = [pipeline.forward([p])[0] for p in prepared]
    for one, together in zip(alone, pipeline.forward(prepared), strict=True):
        assert np.abs(one - together).max() <= 2 / 255


def test_known_pixels_of_a_large_photo_stay_and_the_fill_is_the_stages(
    tiny_detailed: Path, tiny: Path
) -> None:
    item = filling(LARGE)
    detailed, plain = (load(folder, "inpaint", None, "cpu") for folder in (tiny_detailed, tiny))
    (fine,), (soft,) = made(detailed, item), made(plain, item)
    hole = np.asarray(item.images["mask"]) > 0
    given = pixels(item.images["image"])
    assert (pixels(fine)[~hole] == given[~hole]).all()
    assert (pixels(fine)[hole] != pixels(soft)[hole]).mean() > 0.5


@pytest.mark.parametrize("task", ["inpaint", "manipulate"])
def test_a_photo_of_the_networks_size_does_without(
    tiny_detailed: Path, tiny: Path, task: str
) -> None:
    item = filling(SIZE)
    if task == "manipulate":
        item = replace(item, images={"image": item.images["image"]})
    detailed, plain = (load(folder, task, None, "cpu") for folder in (tiny_detailed, tiny))
    assert "detail" not in detailed.provenance(detailed.prepare(item))
    (a,), (b,) = made(detailed, item), made(plain, item)
    assert (pixels(a) == pixels(b)).all()


def test_a_small_photo_is_edited_and_enlarged(tiny_detailed: Path, tiny: Path) -> None:
    photo = pattern(SIZE).crop((0, 0, SIZE, SIZE // 2))
    item = Item("bird", 1, images={"image": photo}, size=LARGE)
    detailed, plain = (load(folder, "manipulate", None, "cpu") for folder in (tiny_detailed, tiny))
    (fine,), (soft,) = made(detailed, item), made(plain, item)
    assert fine.size == soft.size == (LARGE, LARGE // 2)
    assert (pixels(fine) != pixels(soft)).mean() > 0.5
    # Both are the same edit of the same photo, so they agree where it is made small again.
    small = [p.resize(photo.size, Image.Resampling.BOX) for p in (fine, soft)]
    assert np.abs(pixels(small[0]) - pixels(small[1])).mean() < 25


def test_explained_pictures_have_the_same_pixels(tiny_detailed: Path) -> None:
    for task, side in (("inpaint", LARGE), ("manipulate", SIZE)):
        pipeline = load(tiny_detailed, task, None, "cpu")
        item = replace(filling(side), size=LARGE)
        (plain,) = made(pipeline, item)
        (told,) = made(pipeline, replace(item, explain=True))
        assert np.abs(pixels(plain) - pixels(told)).max() <= 1


def test_receipts_name_the_stage_that_was_used(tiny_detailed: Path) -> None:
    for task, item in (
        ("synthesize", Item("bird", 1)),
        ("inpaint", filling(LARGE)),
        ("manipulate", Item("bird", 1, images={"image": pattern(SIZE)}, size=LARGE)),
    ):
        pipeline = load(tiny_detailed, task, None, "cpu")
        told = pipeline.provenance(pipeline.prepare(item))
        assert pipeline.detail is not None
        assert told["detail"] == {"sha256": pipeline.detail.sha256, "scale": 4}


@pytest.mark.parametrize("task", ["inpaint", "manipulate"])
@pytest.mark.parametrize("side", [20, SIZE, 3 * SIZE])
def test_a_result_has_the_size_that_was_asked_for(
    tiny_detailed: Path, task: str, side: int
) -> None:
    pipeline = load(tiny_detailed, task, None, "cpu")
    for size in (None, 24, LARGE):
        (picture,) = made(pipeline, replace(filling(side), size=size))
        assert picture.size == (size or side, size or side)
