"""Word vectors mixed between captions of one picture; sentences alone by a ranking loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.damsm.recipe import DamsmObjective, DamsmOptions
from models.errors import ModelsError
from models.training.batch import Batch
from models.training.noise import Noise
from tests.conftest import WORDS
from tests.models.training.photos import NoisePhotos

SIZE, BATCH = 32, 6


@pytest.fixture(scope="module")
def batch() -> Batch:
    sources = [np.random.default_rng(k) for k in range(BATCH)]
    return NoisePhotos(SIZE).batch("damsm", range(BATCH), sources)


@pytest.fixture(scope="module")
def objective() -> DamsmObjective:
    options = DamsmOptions(
        words=8, features=16, hidden=8, input_size=SIZE, hard=True, mix_words=1.0
    )
    return DamsmObjective(options, len(WORDS))


def test_the_own_word_stays_the_larger_part(objective: DamsmObjective, batch: Batch) -> None:
    own = objective.text.encoder(batch.ids)
    both = torch.cat([own, own])  # wrong captions below
    mixed = objective._mix(both, batch, Noise(0, 0, BATCH))
    assert torch.equal(mixed[BATCH:], own)
    assert batch.more_ids is not None
    width = min(batch.ids.shape[1], batch.more_ids.shape[2])
    others = objective.text.encoder(batch.more_ids[:, 0, :width])
    moved = (mixed[:BATCH, :width] - own[:, :width]).norm(dim=2)
    assert moved.any()
    assert (moved <= (others - own[:, :width]).norm(dim=2) / 2 + 1e-6).all()
    padded = torch.arange(width)[None] >= batch.lengths[:, None]
    assert not moved[padded].any()


def test_mixing_needs_further_captions(objective: DamsmObjective, batch: Batch) -> None:
    alone = replace(batch, more_ids=None)
    with pytest.raises(ModelsError, match=r"loop\.captions"):
        objective.loss("damsm", (alone, Noise(0, 0, BATCH)), 0)


def test_a_margin_trains_sentences_and_pictures_by_ranking(batch: Batch) -> None:
    torch.manual_seed(0)
    options = DamsmOptions(words=8, features=16, hidden=8, input_size=SIZE, margin=0.2)
    objective = DamsmObjective(options, len(WORDS))
    loss, values = objective.loss("damsm", (batch, Noise(0, 0, BATCH)), 0)
    assert values.keys() == {"ranking"}
    loss.backward()
    for network in (objective.text, objective.image):
        assert any(p.grad is not None and p.grad.any() for p in network.parameters())
