"""The turns of a run that starts by drawing real pictures again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.synthesis.efficient_t2i.recipe import SynthesisObjective, SynthesisOptions
from models.training.noise import Noise
from tests.models.training.photos import NoisePhotos, TinyEncoders

SIZE, BATCH = 32, 4


def built(**options: Any) -> SynthesisObjective:
    torch.manual_seed(0)
    chosen = SynthesisOptions(discriminator="own", ngf=4, ndf=4, z=4, **options)
    return SynthesisObjective(chosen, SIZE, TinyEncoders().text)


def losses(objective: SynthesisObjective, step: int) -> tuple[torch.Tensor, dict[str, Any]]:
    sources = [np.random.default_rng(k) for k in range(BATCH)]
    batch = NoisePhotos(SIZE).batch("synthesis", range(BATCH), sources)
    seen = objective.forward_shared(batch, Noise(0, step, BATCH), step)
    return objective.loss("generator", seen, step)


def test_alone_there_is_no_discriminator() -> None:
    objective = built(reconstruction_weight=3.0, warmup_steps=2)
    assert objective.active_steps(1) == ("generator",)
    assert objective.active_steps(2) == ("discriminator", "generator")
    loss, values = losses(objective, 1)
    assert set(values) == {"nats", "rebuilt"}
    loss.backward()
    assert all(p.grad is None for p in objective.discriminator.parameters())
    assert any(p.grad is not None and p.grad.any() for p in objective.encoder.parameters())


def test_later_both_are_asked_for() -> None:
    objective = built(reconstruction_weight=3.0, kl_weight=0.5, warmup_steps=2)
    loss, values = losses(objective, 2)
    expected = values["g"] + 3.0 * values["rebuilt"] + 1.5 * values["nats"]
    torch.testing.assert_close(loss, expected)


def test_blocks_may_start_as_their_shortcuts() -> None:
    plain = built(zero_start=True).generator
    weights = [m.weight for n, m in plain.named_modules() if n.endswith("conv4")]
    assert weights
    assert not any(w.any() for w in weights)
    assert all(m.weight.any() for n, m in built().generator.named_modules() if n.endswith("conv4"))


def test_drawing_again_fades_out() -> None:
    objective = built(reconstruction_weight=3.0, warmup_steps=1, reconstruction_until=4)
    loss, values = losses(objective, 2)
    expected = values["g"] + 1.5 * (values["rebuilt"] + 5e-4 * values["nats"])
    torch.testing.assert_close(loss, expected)
    _, values = losses(objective, 4)
    assert set(values) == {"g"}


def test_an_encoder_learns_through_signs() -> None:
    objective = built(reconstruction_weight=3.0, warmup_steps=2, latent="s3,n2")
    assert objective.generator.config.z == 5
    loss, _ = losses(objective, 0)
    loss.backward()
    read = objective.encoder.read.weight.grad
    assert read is not None
    assert read[:3].abs().sum() > 0
