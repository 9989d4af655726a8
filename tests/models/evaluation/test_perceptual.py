"""The distance of features orders pictures as people would, and sees each picture by itself."""

from __future__ import annotations

import pytest
from torch import Tensor
from torch.nn import functional

from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.perceptual import FeatureDistance
from models.evaluation.pictures import stack


@pytest.fixture(scope="module")
def real() -> Tensor:
    return stack([case.picture for case in HeldOutAviary("validation", 0).synthesis(3, 64)])


def blurred(pictures: Tensor, scale: int) -> Tensor:
    return functional.interpolate(
        functional.avg_pool2d(pictures, scale), scale_factor=scale, mode="bicubic"
    )


def test_more_blur_is_further_away(real: Tensor) -> None:
    distance = FeatureDistance()
    far = [distance(blurred(real, scale), real) for scale in (2, 4, 8)]
    assert (far[0] < far[1]).all()
    assert (far[1] < far[2]).all()
    assert distance(real, real) == pytest.approx(0, abs=1e-6)


def test_a_picture_alone_is_as_far_as_in_a_batch(real: Tensor) -> None:
    distance, made = FeatureDistance(), blurred(real, 4)
    alone = [float(distance(made[k : k + 1], real[k : k + 1])[0]) for k in range(3)]
    assert distance(made, real) == pytest.approx(alone, rel=1e-4)
