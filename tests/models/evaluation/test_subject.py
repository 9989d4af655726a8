"""Birds and flowers as an ImageNet classifier sees them."""

from __future__ import annotations

import pytest
import torch

from models.evaluation.estimates import Estimate
from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.pictures import stack
from models.evaluation.results import Row
from models.evaluation.subject import CLASSES, subject_classifier


def test_data_of_birds_and_flowers_have_one_and_others_none() -> None:
    assert {d: bool(subject_classifier(d)) for d in ("birds", "flowers", "everyday scenes")} == {
        "birds": True,
        "flowers": True,
        "everyday scenes": False,
    }


def test_classes_are_of_imagenet_and_apart() -> None:
    assert len(CLASSES["bird"]) == 59
    assert not set(CLASSES["bird"]) & set(CLASSES["flower"])
    assert all(0 <= k < 1000 for classes in CLASSES.values() for k in classes)


@pytest.mark.parametrize("by", ["lite2", "lite0"])
def test_mass_is_the_share_of_the_classes(by: str) -> None:
    evaluator = subject_classifier("birds", by)
    assert evaluator is not None
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mass = evaluator.mass(pictures, batch=2)
    assert mass.shape == (3,)
    side = torch.nn.functional.interpolate(
        pictures, (evaluator.side, evaluator.side), mode="bicubic", antialias=True
    ).clamp(-1, 1)
    logits = evaluator.network(side)[1]
    others = [k for k in range(1000) if k not in CLASSES["bird"]]
    assert torch.allclose(mass, 1 - logits.softmax(1)[:, others].sum(1), atol=1e-4)
    assert evaluator.suffix == ("" if by == "lite2" else "_lite0")


def test_ratio_is_to_real_photos() -> None:
    row = Row()
    real = torch.tensor([0.4, 0.6]).double().numpy()
    row.add_subjects({"bird_mass": real / 2}, {"bird_mass": real})
    assert row.estimates["bird_ratio"].value == pytest.approx(0.5)
    assert isinstance(row.estimates["bird_mass"], Estimate)


def test_a_drawn_bird_is_where_the_map_says() -> None:
    evaluator = subject_classifier("birds")
    assert evaluator is not None
    drawing = stack([HeldOutAviary("test").synthesis(1, 64)[0].picture])
    picture = torch.full((1, 3, 128, 128), 0.2)
    picture[:, :, 64:, :64] = drawing
    found = evaluator.activation_maps(picture)
    assert found.shape == (1, 1, 128, 128)
    assert found.min() == 0
    assert found.max() == 1
    where = (found > 0.7)[0, 0]
    assert where[56:, :72].sum() > 0.9 * where.sum() > 0
