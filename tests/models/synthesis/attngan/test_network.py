"""AttnGAN's networks: parity with the published ones, sizes, rows of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.manipulation.manigan.discriminators import ManiganDiscriminator
from models.manipulation.manigan.losses import discriminator_loss, kl_loss
from models.synthesis.attngan.network import AttnganConfig, AttnganGenerator
from tests.models.parity import rule

SEED = 1234
STRIDES = {0: (2, 4, 8), 1: (4, 8, 8)}  # of the reference's pictures, by row


def difference(found: Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.numpy() - expected).max())


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "reference.npz") as stored:
        return dict(stored)


@pytest.mark.slow
def test_generator_parity(reference: dict[str, np.ndarray]) -> None:
    network = rule.filled(
        AttnganGenerator(AttnganConfig()), SEED, rule.scaled(1.4), "attngan/netG/"
    )
    given = rule.drawing_inputs(2, SEED)
    z, noise, words, sentence, pad = (
        given[name] for name in ("z", "ca_noise", "words", "sentence", "pad")
    )
    with torch.inference_mode():
        for row, strides in STRIDES.items():
            one, n = slice(row, row + 1), int((~pad[row]).sum())
            out = network(z[one], noise[one], words[one, :, :n], sentence[one], pad[one, :n])
            for picture, stride in zip(out.pictures, strides, strict=True):
                found = picture[0, :, ::stride, ::stride]
                assert difference(found, reference[f"image{picture.shape[2]}_{row}"]) <= 1e-4
            for maps, stride in zip(out.attention, (8, 16), strict=True):
                found = maps[0, :, ::stride, ::stride]
                assert difference(found, reference[f"attention{maps.shape[2]}_{row}"]) <= 1e-4
            assert difference(out.mu[0], reference[f"mu{row}"]) <= 1e-4
            assert difference(out.logvar[0], reference[f"logvar{row}"]) <= 1e-4
        assert difference(kl_loss(out.mu, out.logvar), reference["kl"]) <= 1e-4
        together = network(z, noise, words, sentence, pad, every_stage=False).pictures
    for row in (0, 1):
        found = together[-1][row, :, ::8, ::8]
        assert difference(found, reference[f"image256_{row}"]) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 128, 256])
def test_discriminator_parity(reference: dict[str, np.ndarray], side: int) -> None:
    """They are ManiGAN's, which took them over."""
    network: ManiganDiscriminator = rule.filled(  # type: ignore[assignment]
        ManiganDiscriminator(side), SEED, rule.scaled(1.4), f"attngan/netD{side}/"
    )
    given = rule.drawing_inputs(2, SEED)
    real, sentence = functional.adaptive_avg_pool2d(given["image"], side), given["sentence"]
    with torch.inference_mode():
        alone, matched = network(real, sentence)
        loss = discriminator_loss(network, real, real.flip(3), sentence)
    assert difference(alone, reference[f"d{side}_alone"]) <= 1e-4
    assert difference(matched, reference[f"d{side}_sentence"]) <= 1e-4
    assert difference(loss, reference[f"d{side}_loss"]) <= 1e-4


def test_small_networks() -> None:
    torch.manual_seed(0)
    config = AttnganConfig(4, 32, 2, 1, 8, 6, 10)
    network = AttnganGenerator(config).eval()
    pad = torch.tensor([[False, False, True]])
    z, noise, words, sentence = (torch.randn(1, *n) for n in ((8,), (6,), (10, 3), (10,)))
    with torch.inference_mode():
        out = network(z, noise, words, sentence, pad)
        alone = network(z, noise, words[..., :2], sentence, pad[:, :2]).pictures[-1]
    assert [p.shape[-1] for p in out.pictures] == [32, 64] == [config.base, config.size]
    assert [a.shape[1:] for a in out.attention] == [(3, 32, 32)]
    assert float(out.attention[0][:, 2].abs().max()) == 0
    torch.testing.assert_close(out.pictures[-1], alone)
