"""TAGAN's networks: parity with the published ones, sizes, rows of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.manipulation.autoencoder import gru_states
from models.manipulation.tagan.network import (
    TaganConfig,
    TaganDiscriminator,
    TaganDiscriminatorConfig,
    TaganGenerator,
    match,
)
from tests.models.parity import rule

SEED = 1234


def difference(found: Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.numpy() - expected).max())


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "reference.npz") as stored:
        return dict(stored)


@pytest.mark.slow
def test_generator_parity(reference: dict[str, np.ndarray]) -> None:
    network = rule.filled(TaganGenerator(TaganConfig()), SEED, rule.scaled(1.2), "tagan/netG/")
    given = rule.editing_inputs(4, 128, SEED)
    words = given["vectors"], given["pad"]
    with torch.inference_mode():
        for row in (0, 1):
            length = int((~given["pad"][row]).sum())
            one = slice(row, row + 1)
            read = (x[one, :length] for x in words)
            out = network(given["image"][one], *read, given["noise"][0, one])
            picture = out.picture[0, :, ::4, ::4]
            assert difference(picture, reference[f"image{row}"]) <= 1e-4
            assert difference(out.mu[0], reference[f"mu{row}"]) <= 1e-4
            assert difference(out.log_sigma[0], reference[f"log_sigma{row}"]) <= 1e-4
            if row == 0:
                encoded = out.encoded[0, ::16, ::4, ::4]
                assert difference(encoded, reference["encoded0"]) <= 1e-4
        pictures = network(given["image"], *words, given["noise"][0]).picture
    assert difference(pictures[..., ::8, ::8], reference["batch_image"]) <= 1e-4


@pytest.mark.slow
def test_discriminator_parity(reference: dict[str, np.ndarray]) -> None:
    network: TaganDiscriminator = rule.filled(  # type: ignore[assignment]
        TaganDiscriminator(TaganDiscriminatorConfig()), SEED, rule.scaled(1.4), "tagan/netD/"
    )
    given = rule.editing_inputs(4, 128, SEED)
    with torch.inference_mode():
        logits, found = network(given["image"])
        text = network.look_for(given["vectors"], given["pad"])
        assert difference(logits, reference["batch_logit"]) <= 1e-4
        assert difference(match(found, text), reference["batch_match"]) <= 1e-4
        assert difference(match(found, text.rolled()), reference["batch_mismatch"]) <= 1e-4
        logit, found = network(given["image"][1:2])
        text = network.look_for(given["vectors"][1:2], given["pad"][1:2])
    assert difference(logit, reference["logit1"]) <= 1e-4
    assert difference(match(found, text), reference["match1"]) <= 1e-4


@pytest.mark.parametrize(("size", "stages"), [(64, 2), (128, 3)])
def test_small_networks(size: int, stages: int) -> None:
    torch.manual_seed(0)
    generator = TaganGenerator(TaganConfig(size, 4, 1, 6, 5, 7)).eval()
    discriminator = TaganDiscriminator(TaganDiscriminatorConfig(4, stages, 5, 7)).eval()
    images, vectors, noise = torch.rand(2, 3, size, size), torch.randn(2, 3, 5), torch.randn(2, 6)
    pad = torch.tensor([[False, False, False], [False, True, True]])
    with torch.inference_mode():
        out = generator(images, vectors, pad, noise)
        logits, found = discriminator(images)
        text = discriminator.look_for(vectors, pad)
    assert out.picture.shape == images.shape
    assert logits.shape == match(found, text).shape == (2,)
    assert [f.shape[1] for f in found] == [16, 32, 32][:stages]
    torch.testing.assert_close(text.weights.sum(1), torch.ones(2))
    assert text.weights[1].tolist() == [1, 0, 0]


def test_padding_says_nothing() -> None:
    torch.manual_seed(0)
    generator = TaganGenerator(TaganConfig(32, 4, 1, 6, 5, 7)).eval()
    images, vectors, noise = torch.rand(1, 3, 32, 32), torch.randn(1, 4, 5), torch.randn(1, 6)
    pad = torch.tensor([[False, False, True, True]])
    with torch.inference_mode():
        padded = generator(images, vectors, pad, noise).picture
        alone = generator(images, vectors[:, :2], pad[:, :2], noise).picture
    torch.testing.assert_close(padded, alone)


def test_states_are_those_of_torchs_cell() -> None:
    torch.manual_seed(0)
    cell, vectors, state = torch.nn.GRUCell(5, 7), torch.randn(2, 4, 5), torch.zeros(2, 7)
    with torch.no_grad():
        found = gru_states(cell, vectors, torch.zeros(2, 4, dtype=torch.bool), backward=True)
        for t in (3, 2, 1, 0):
            state = cell(vectors[:, t], state)
            torch.testing.assert_close(found[:, t], state)
