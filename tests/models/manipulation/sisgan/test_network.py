"""SISGAN's networks: parity with the published ones, in both forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.damsm.losses import ranking_loss
from models.manipulation.sisgan.network import (
    SentenceEncoder,
    SisganConfig,
    SisganDiscriminator,
    SisganDiscriminatorConfig,
    SisganGenerator,
)
from tests.models.manipulation.tagan.test_network import SEED, difference
from tests.models.parity import rule

CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "reference.npz") as stored:
        return dict(stored)


def sentences(given: dict[str, torch.Tensor]) -> torch.Tensor:
    names = {f"cell.{name}": f"txt_encoder.{name}_l0" for name in CELL}
    reader = rule.filled(
        SentenceEncoder(300, 300), SEED, rule.scaled(1.0), "sisgan/vse/", rename=names
    )
    with torch.inference_mode():
        found: torch.Tensor = reader(given["vectors"], given["pad"])
    return found


def test_ranking_loss_parity(reference: dict[str, np.ndarray]) -> None:
    pair = (torch.from_numpy(reference[name]) for name in ("image_feature", "sentence"))
    assert ranking_loss(*pair, 0.2).item() == pytest.approx(reference["ranking_loss"].item(), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["", "_vgg"])
def test_generator_parity(reference: dict[str, np.ndarray], form: str) -> None:
    config = SisganConfig(vgg=bool(form))
    network = rule.filled(SisganGenerator(config), SEED, rule.scaled(1.2), f"sisgan/netG{form}/")
    given = rule.editing_inputs(4, 64, SEED)
    sentence = sentences(given)
    assert difference(sentence, reference["sentence"]) <= 1e-4
    with torch.inference_mode():
        for row in (0, 1):
            one = slice(row, row + 1)
            out = network(given["image"][one], sentence[one], given["noise"][0, one])
            picture = out.picture[0, :, ::2, ::2]
            assert difference(picture, reference[f"image{form}{row}"]) <= 1e-4
            if row == 0:
                encoded = out.encoded[0, ::16, ::2, ::2]
                assert difference(encoded, reference[f"encoded{form}"]) <= 1e-4
                assert difference(out.mu[0], reference[f"mu{form}"]) <= 1e-4
                assert difference(out.log_sigma[0], reference[f"log_sigma{form}"]) <= 1e-4
        whole = network(given["image"], sentence, given["noise"][0]).picture
    assert difference(whole[1, :, ::2, ::2], reference[f"image{form}1"]) <= 1e-4


@pytest.mark.slow
def test_discriminator_parity(reference: dict[str, np.ndarray]) -> None:
    network = rule.filled(
        SisganDiscriminator(SisganDiscriminatorConfig()), SEED, rule.scaled(1.4), "sisgan/netD/"
    )
    given = rule.editing_inputs(4, 64, SEED)
    sentence = sentences(given)
    with torch.inference_mode():
        own = network(given["image"], sentence)
        other = network(given["image"], sentence.roll(1, 0))
    assert difference(own, reference["logit"]) <= 1e-4
    assert difference(other, reference["logit_mismatch"]) <= 1e-4


def test_vgg_learns_nothing_and_keeps_its_statistics() -> None:
    torch.manual_seed(0)
    network: Any = SisganGenerator(SisganConfig(64, 4, 1, 6, 5, 7, vgg=True))
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    made = network(torch.rand(2, 3, 64, 64), torch.randn(2, 5), torch.randn(2, 6)).picture
    made.mean().backward()
    assert made.shape == (2, 3, 64, 64)
    assert all(torch.equal(v, before[k]) for k, v in network.encoder.state_dict().items())
    assert all(p.grad is None for p in network.encoder.parameters())
    assert network.mu[0].weight.grad.abs().max() > 0
