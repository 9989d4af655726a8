"""What labels say of a bird, without a network."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.aviary.drawing import PARTS, bird, label_map
from models.evaluation.anatomy import form, label_agreement, regions
from models.evaluation.form import load_form_evaluator

MAPS = np.stack([label_map(bird("validation", k), 64) for k in range(60)])
ANATOMY = load_form_evaluator().anatomy
CROWN, BELLY, WINGS, TAIL, BILL = (
    PARTS.index(p) + 1 for p in ("crown", "belly", "wings", "tail", "bill")
)


def changed(where: np.ndarray, value: int) -> np.ndarray:
    maps = MAPS.copy()
    maps[where] = value
    return maps


def test_every_render_is_one_bird() -> None:
    found = form(ANATOMY, MAPS)
    assert found["one_bird"].all()
    assert not found["two_heads"].any()
    assert found["bill_found"].all()
    assert found["eye_found"].all()
    assert found["legs_found"].all()


@pytest.mark.parametrize("part", [CROWN, BELLY, WINGS, TAIL, BILL])
def test_a_missing_part_is_no_bird(part: int) -> None:
    assert not form(ANATOMY, changed(part == MAPS, 0))["one_bird"].any()


def test_mirrored_birds_are_as_whole() -> None:
    assert form(ANATOMY, MAPS[:, :, ::-1])["one_bird"].all()


def test_a_bird_upside_down_is_not_in_place() -> None:
    assert not form(ANATOMY, MAPS[:, ::-1])["one_bird"].any()


def test_bill_at_the_tail_is_not_in_place() -> None:
    """Bill and tail exchanged: the same regions, areas apart, at the wrong ends."""
    maps = changed(MAPS == BILL, 99)
    maps[maps == TAIL] = BILL
    maps[maps == 99] = TAIL
    found = form(ANATOMY, maps)
    assert not found["one_bird"].any()


def test_a_second_crown_is_a_second_head() -> None:
    maps = MAPS.copy()
    maps[:, 2:8, 2:8] = CROWN
    found = form(ANATOMY, maps)
    assert found["two_heads"].all()
    assert not found["one_bird"].any()


def test_a_sliver_is_no_second_head() -> None:
    maps = MAPS.copy()
    maps[:, 2:4, 2:4] = CROWN
    assert not form(ANATOMY, maps)["two_heads"].any()


def test_regions_are_told_by_size() -> None:
    plane = np.zeros((10, 10), np.uint8)
    plane[:2, :2], plane[5:, 5:] = 1, 1
    assert [r.area for r in regions(plane, 1)] == [0.25, 0.04]
    assert regions(plane, 1)[0].x == pytest.approx(0.7)


def test_agreement_is_the_mean_over_labels() -> None:
    true = np.zeros((1, 4, 4), np.uint8)
    true[:, 2:] = 1
    everywhere = np.ones((1, 4, 4), bool)
    made = np.zeros_like(true)
    assert label_agreement(true, true, everywhere)[0] == 1
    assert label_agreement(made, true, everywhere)[0] == pytest.approx(0.25)
    assert label_agreement(made, true, true == 0)[0] == 1
