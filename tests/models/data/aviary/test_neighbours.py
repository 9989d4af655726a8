"""Parts that nothing tells continue their neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.aviary.drawing import PARTS, bird, layers
from models.data.aviary.neighbours import continue_colours

SIZE = 64


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return layers(bird("test", 0), SIZE).masks


def _without(masks: np.ndarray, *parts: str) -> np.ndarray:
    """A hole over all of some parts and nothing else."""
    hidden = masks[[PARTS.index(p) for p in parts]].sum(0) > 0
    return np.where(hidden, 0, 1).astype(np.float32)


def _distinct() -> tuple[str, ...]:
    return ("red", "orange", "yellow", "green", "blue", "purple")


def test_hidden_part_takes_the_nearest_seen_colour(masks: np.ndarray) -> None:
    sample = bird("test", 0).recolour(dict(zip(PARTS, _distinct(), strict=True)))
    new = continue_colours(sample, (), masks, _without(masks, "tail"))
    assert new.colour_of("tail") == sample.colour_of("wings")
    kept = [p for p in PARTS if p != "tail"]
    assert [new.colour_of(p) for p in kept] == [sample.colour_of(p) for p in kept]


def test_hidden_neighbours_are_passed_over(masks: np.ndarray) -> None:
    sample = bird("test", 0).recolour(dict(zip(PARTS, _distinct(), strict=True)))
    new = continue_colours(sample, (), masks, _without(masks, "tail", "wings"))
    assert new.colour_of("tail") == new.colour_of("wings") == sample.colour_of("back")


def test_named_parts_keep_their_colour(masks: np.ndarray) -> None:
    sample = bird("test", 0).recolour(dict(zip(PARTS, _distinct(), strict=True)))
    assert continue_colours(sample, ("tail",), masks, _without(masks, "tail")) == sample
    # … and lend it to what is hidden beside them.
    new = continue_colours(sample, ("wings",), masks, _without(masks, "tail", "wings"))
    assert new.colour_of("tail") == sample.colour_of("wings")


def test_where_nothing_is_known_nothing_changes(masks: np.ndarray) -> None:
    sample = bird("test", 0)
    assert continue_colours(sample, (), masks, np.zeros((SIZE, SIZE), np.float32)) == sample
