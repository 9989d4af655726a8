"""Pictures between captions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.pipeline import Item, Pipeline
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline

TEXTS = ("a red bird with blue wings", "green")


@pytest.fixture(scope="module")
def pipeline(tiny: Path) -> Pipeline[Any]:
    return load(tiny, "synthesize", None, "cpu")


def between(share: float, seed: int = 3) -> Item:
    blend = tuple(zip(TEXTS, (1 - share, share), strict=True))
    return Item(TEXTS[0], seed, mixed=tuple(part for part in blend if part[1]))


def made(pipeline: Pipeline[Any], *items: Item) -> list[np.ndarray]:
    pictures = pipeline.run(items).pictures
    assert all(isinstance(p, Image.Image) for p in pictures)
    return [np.asarray(p, int) for p in pictures]


def test_the_ends_are_the_captions_alone(pipeline: Pipeline[Any]) -> None:
    morph = made(pipeline, *(between(step / 6) for step in range(7)))
    ends = made(pipeline, *(Item(text, 3) for text in TEXTS))
    assert np.abs(morph[0] - ends[0]).max() <= 2
    assert np.abs(morph[-1] - ends[1]).max() <= 2
    assert all((a != b).any() for a, b in itertools.pairwise(morph))


def test_sentences_are_mixed_by_their_shares(pipeline: SynthesisPipeline) -> None:
    with torch.inference_mode():
        first, second = (
            pipeline._sentences([pipeline.prepare(Item(text, 0))])[0] for text in TEXTS
        )
        batch = [pipeline.prepare(i) for i in (between(0.25), Item(TEXTS[1], 0), between(0.5))]
        mixed = pipeline._sentences(batch)
    assert torch.allclose(mixed[0], 0.75 * first + 0.25 * second, atol=1e-5)
    assert torch.allclose(mixed[1], second, atol=1e-5)
    assert torch.allclose(mixed[2], (first + second) / 2, atol=1e-5)


def test_a_mix_does_not_depend_on_its_company(pipeline: Pipeline[Any]) -> None:
    wanted = between(0.3)
    alone = made(pipeline, wanted)[0]
    company = made(pipeline, Item("a bird", 1), wanted, between(0.9, 5), Item(TEXTS[0], 2))[1]
    assert np.abs(alone - company).max() <= 2
