"""Learning to draw what a data set drew, on a network of a few channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data.aviary.dataset import Aviary
from models.errors import ModelsError
from models.synthesis.efficient_t2i.latent import width
from models.synthesis.efficient_t2i.supervised_recipe import RenderingObjective, RenderingOptions
from models.training.batch import Batch
from models.training.noise import Noise
from tests.models.training.photos import TinyEncoders

SIZE, BATCH = 32, 4
OPTIONS = RenderingOptions(ngf=4, widths="4,4,2,1")


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    data = Aviary(SIZE, 8, cache=tmp_path_factory.mktemp("cache"))
    sources = [np.random.default_rng(k) for k in range(BATCH)]
    made = data.batch("synthesis", range(BATCH), sources)
    ids = torch.ones_like(made.ids)  # the tiny encoders know other words
    return Batch(**{**vars(made), "ids": ids})


def built() -> RenderingObjective:
    torch.manual_seed(0)
    return RenderingObjective(OPTIONS, SIZE, TinyEncoders().text, Aviary.latent)


def test_some_steps_bring_the_drawing_nearer(batch: Batch) -> None:
    objective = built()
    phase = objective.optimizer_steps["generator"]
    found = []
    for step in range(30):
        phase.optimiser.zero_grad()
        loss, values = objective.loss(
            "generator", objective.forward_shared(batch, Noise(0, step, BATCH), step), step
        )
        loss.backward()
        phase.optimiser.step()
        found.append(float(values["l1"]))
    assert found[-1] < 0.6 * found[0]


def test_small_parts_weigh_more_than_the_bird_and_that_more_than_the_backdrop() -> None:
    labels = torch.tensor([[[0, 1], [7, 9]]])
    weights = built()._weights(labels)
    assert weights.flatten().tolist() == [1.0, 2.0, 6.0, 2.0]


def test_the_bundle_says_what_shapes_its_noise_has() -> None:
    objective = built()
    network, modules = objective.export({"generator": objective.generator})
    assert network["latent"] == Aviary.latent
    assert network["z"] == width(Aviary.latent)
    assert set(modules) == {"generator"}


def test_photos_can_not_be_learned_so() -> None:
    with pytest.raises(ModelsError, match=r"--preset cub\), or --set objective=hinge"):
        RenderingObjective(OPTIONS, SIZE, TinyEncoders().text, "")
