"""The shipped bundle: where its words act, and what lies between its captions."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import models
from jobs.request_texts import morph_blends
from models.data.aviary.drawing import PARTS, bird, layers, render
from models.pipeline import Item

AVIARY = Path(__file__).parents[2] / "weights/aviary"
TEXT = "a bird with a red belly and blue wings and a yellow crown"
BIRD = 5  # of the test split: black belly, purple wings and crown


def maps(task: str, **images: Image.Image) -> dict[str, NDArray[np.float32]]:
    """By word, each with its strongest place 1; of a word said twice the last."""
    pipeline = models.load(AVIARY, task)
    (found,) = pipeline.run([Item(TEXT, 3, images=images, explain=True)]).explanations.values()
    return {w.word.word: m / m.max() for w in found.words for m in w.maps.values()}


def part(name: str) -> NDArray[np.bool_]:
    """Where a part of the bird is, at the size of its maps."""
    plane = layers(bird("test", BIRD), 128).masks[PARTS.index(name)]
    return np.asarray(plane) > 0.5


def test_colours_of_an_edit_act_at_different_places() -> None:
    found = maps("manipulate", image=render(bird("test", BIRD), 128))
    for one, other in (("red", "blue"), ("blue", "yellow"), ("red", "yellow")):
        assert np.abs(found[one] - found[other]).mean() > 0.1
    wings, crown = part("wings"), part("crown")
    assert found["blue"][wings].mean() > 2 * found["blue"][~wings].mean()
    assert found["yellow"][crown].mean() > 2 * found["yellow"][~crown].mean()


def test_words_are_found_at_different_places_of_a_synthesis() -> None:
    found = maps("synthesize")
    for one, other in (("red", "blue"), ("blue", "yellow"), ("red", "yellow")):
        assert np.abs(found[one] - found[other]).mean() > 0.1


def test_words_of_a_filling_look_at_what_is_known() -> None:
    mask = Image.new("L", (128, 128), 0)
    mask.paste(255, (40, 40, 88, 88))
    found = maps("inpaint", image=render(bird("test", BIRD), 128), mask=mask)
    # The words that this bundle's attention goes to; colours reach its filling by the sentence.
    assert np.abs(found["bird"] - found["with"]).mean() > 0.05
    assert np.abs(found["red"] - found["blue"]).mean() > 0.05
    assert all(plane[56:72, 56:72].max() == 0 for plane in found.values())


@pytest.mark.parametrize("seed", [0, 7])
def test_a_morph_begins_and_ends_with_its_captions(seed: int) -> None:
    texts = ("a red bird with a yellow crown", "a blue bird with black wings")
    pipeline = models.load(AVIARY, "synthesize")
    frames = [Item(texts[0], seed, mixed=blend) for blend in morph_blends(list(texts), 5)]
    alone = [Item(text, seed) for text in texts]
    pictures = [np.asarray(picture, int) for picture in pipeline.run([*frames, *alone]).pictures]
    morph, ends = pictures[:5], pictures[5:]
    assert np.abs(morph[0] - ends[0]).max() <= 2
    assert np.abs(morph[4] - ends[1]).max() <= 2
    whole = np.abs(morph[0] - morph[4]).mean()
    assert all(0 < np.abs(a - b).mean() < whole for a, b in itertools.pairwise(morph))
