"""The shipped bundles of photos make and change what a caption says, as networks see it that had no
part in their training (weights/judges). The numbers of their cards need the photos; these do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models
from models.bundle import Bundle
from models.evaluation.encoders import load_encoders
from models.evaluation.pictures import map_chunks
from models.pipeline import Item, Pipeline

WEIGHTS = Path(__file__).parents[2] / "weights"
BIRDS = (
    "a bird that is yellow all over with a black crown",
    "this bird is bright red with black wings",
    "a blue bird with a white belly",
    "a small brown bird with a streaked breast",
)
FLOWERS = (
    "this flower has white petals and a yellow center",
    "a flower with bright red petals",
    "a purple flower with rounded petals",
    "the petals are yellow and long",
)
SEEDS = 4


def made(pipeline: Pipeline[object], items: Sequence[Item]) -> list[Image.Image]:
    pictures = pipeline.run(items).pictures
    assert all(isinstance(picture, Image.Image) for picture in pictures)
    return pictures  # type: ignore[return-value]


def likeness(data: str, pictures: Sequence[Image.Image], texts: Sequence[str]) -> float:
    """The mean cosine of picture and text."""
    encoders = load_encoders(data)
    codes, sentences = map_chunks(pictures, encoders.codes), encoders.sentences(texts)
    return float((codes * sentences).sum(1).mean())


@pytest.mark.parametrize("bundle", ["aviary", "cub", "flowers"])
def test_a_bundle_is_called_as_its_folder(bundle: str) -> None:
    """Messages name it so."""
    assert Bundle.open(WEIGHTS / bundle).name == bundle


@pytest.mark.parametrize(
    ("bundle", "data", "captions"),
    [("cub", "CUB-200-2011", BIRDS), ("flowers", "Oxford-102", FLOWERS)],
)
def test_pictures_show_their_caption_and_no_other(
    bundle: str, data: str, captions: Sequence[str]
) -> None:
    texts = [caption for caption in captions for _ in range(SEEDS)]
    pipeline = models.load(WEIGHTS / bundle)["synthesize"]
    pictures = made(pipeline, [Item(text, seed) for seed, text in enumerate(texts)])
    others = [*texts[SEEDS:], *texts[:SEEDS]]
    assert likeness(data, pictures, texts) > likeness(data, pictures, others) + 0.3


def test_an_edit_moves_a_bird_to_the_new_caption_and_leaves_most_of_it() -> None:
    pipelines = models.load(WEIGHTS / "cub")
    texts = [caption for caption in BIRDS for _ in range(SEEDS)]
    birds = made(pipelines["synthesize"], [Item(text, k) for k, text in enumerate(texts)])
    told = [*texts[SEEDS:], *texts[:SEEDS]]
    items = [Item(t, 0, images={"image": b}) for t, b in zip(told, birds, strict=True)]
    edited = made(pipelines["manipulate"], items)
    before, after = (likeness("CUB-200-2011", p, told) for p in (birds, edited))
    assert after > before + 0.3
    change = [
        np.asarray(e, float) - np.asarray(b, float) for e, b in zip(edited, birds, strict=True)
    ]
    assert np.abs(change).mean() / 255 < 0.12
