"""Sentences alone by a ranking loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.damsm.recipe import DamsmObjective, DamsmOptions
from models.training.batch import Batch
from tests.conftest import WORDS
from tests.models.training.photos import NoisePhotos

SIZE, BATCH = 32, 6


@pytest.fixture(scope="module")
def batch() -> Batch:
    sources = [np.random.default_rng(k) for k in range(BATCH)]
    return NoisePhotos(SIZE).batch("damsm", range(BATCH), sources)


def test_a_margin_trains_sentences_and_pictures_by_ranking(batch: Batch) -> None:
    torch.manual_seed(0)
    options = DamsmOptions(words=8, features=16, hidden=8, input_size=SIZE, margin=0.2)
    objective = DamsmObjective(options, len(WORDS))
    loss, values = objective.loss("damsm", batch, 0)
    assert values.keys() == {"ranking"}
    loss.backward()
    for network in (objective.text, objective.image):
        assert any(p.grad is not None and p.grad.any() for p in network.parameters())
