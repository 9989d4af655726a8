"""CSA's training: phases, gradients, rates and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import ModelsError
from models.inpainting.csa.discriminators import relativistic_loss
from models.inpainting.csa.network import CsaConfig
from models.inpainting.csa.recipe import CsaObjective, Options, sized_config
from models.training.config import LoopOptions
from models.training.objective import RateSchedule
from models.training.parts import PARTS
from tests.models.training.photos import NoisePhotos, watch_two_steps

SMALL: dict[str, Any] = {"objective": "csa", "width": 4, "detail": "none"}


def built(**options: Any) -> Any:
    torch.manual_seed(0)
    return PARTS["inpainting"]({**SMALL, **options}, NoisePhotos(64), None)


@pytest.mark.parametrize("options", [{}, {"gradient": "exact"}, {"detail": "random"}])
def test_phases(options: dict[str, Any], tmp_path: Path) -> None:
    objective = built(**options)
    extra = ("feature_discriminator",) if "detail" in options else ()
    assert {name: step.trains for name, step in objective.optimizer_steps.items()} == {
        "discriminators": ("discriminator", *extra),
        "generators": ("coarse", "refine"),
    }
    watch_two_steps(objective, NoisePhotos(64), "inpainting", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("acts", [False, True])
def test_features_reach_the_generator_where_they_may(acts: bool, tmp_path: Path) -> None:
    objective = built(width=64, detail="random", feature_gradients=acts)
    loop = watch_two_steps(objective, NoisePhotos(64), "inpainting", tmp_path)
    state = objective.forward_shared(*loop.samples(0, 2, 0, 2), 0)
    found = objective._generator_loss(state)[1]
    assert found["consistency_in"].requires_grad == acts
    assert found["consistency_out"].requires_grad == acts


def test_rates_are_constant_and_then_fall_to_zero() -> None:
    objective = built(epoch_steps=10, constant=20, falling=100)
    shares = [objective.rate_share(10 * epoch) for epoch in (0, 18, 19, 119, 500)]
    assert shares == pytest.approx([1, 1, 1 - 1 / 101, 0, 0])
    assert built().rate_share(10**6) == 1
    steps = objective.optimizer_steps
    schedule = RateSchedule(LoopOptions(steps=1), steps)
    for name, step in steps.items():
        schedule.apply(name, step, 0, 0.5)
        assert [group["lr"] for group in step.optimiser.param_groups] == [1e-4]


def test_sizes() -> None:
    assert sized_config(Options(), 256) == CsaConfig()
    assert sized_config(Options(16), 64) == CsaConfig(16, 6)
    for size in (96, 16):
        with pytest.raises(ModelsError, match=f"not at {size}"):
            sized_config(Options(), size)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelsError, match="imagenet, random or none"):
        Options(detail="other")
    for options in ({"detail": "none"}, {"width": 16}):
        with pytest.raises(ModelsError, match="needs detail, and width = 64"):
            Options(feature_gradients=True, **options)  # type: ignore[arg-type]
    with pytest.raises(ModelsError, match="published or exact"):
        CsaObjective(Options(4, detail="none", gradient="other"), 64)


def test_scores_are_compared_with_the_other_pictures_mean() -> None:
    real, fake = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    # real - mean(fake) - 1 = -1, 1; fake - mean(real) + 1 = -1, 1
    assert float(relativistic_loss(real, fake)) == 1
    twice = [torch.cat([x, x + 5]) for x in (real, fake)]
    assert float(relativistic_loss(*twice)) == 1
