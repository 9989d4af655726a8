from __future__ import annotations

import torch
from torch import Tensor

from models.training.auxiliary_networks import (
    AuxiliaryClassifier,
    NoiseEncoder,
    attribute_accuracy,
    attribute_loss,
    kl_divergence,
    reconstruction_loss,
)


def test_a_picture_gives_logits_for_every_attribute() -> None:
    read = AuxiliaryClassifier(32, attributes=6, values=10, width=4)
    assert read(torch.zeros(2, 3, 32, 32)).shape == (2, 6, 10)


def test_attributes_that_nobody_named_count_for_nothing() -> None:
    logits = torch.full((1, 2, 3), -10.0)
    logits[0, 0, 1] = logits[0, 1, 2] = 10.0
    half = torch.tensor([[1, -1]])
    assert attribute_loss(logits, half) < 1e-3
    assert attribute_accuracy(logits, half) == 1.0
    assert attribute_loss(logits, torch.tensor([[1, 0]])) > 5
    assert attribute_accuracy(logits, torch.tensor([[1, 0]])) == 0.5


def test_divergence_is_the_closed_form() -> None:
    mean, spread = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, -0.7]])
    posterior = torch.distributions.Normal(mean, (spread / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mean, spread), expected.sum())
    assert kl_divergence(torch.zeros(3, 4), torch.zeros(3, 4)) == 0


def test_what_is_wrong_over_an_area_weighs_more_than_texture() -> None:
    images = torch.zeros(1, 3, 16, 16)
    texture = torch.ones(16, 16)
    texture[::2] = -1
    assert reconstruction_loss(images + texture, images) == 1
    assert reconstruction_loss(images + 1, images) == 2


def test_the_noise_behind_a_picture_depends_on_picture_and_caption() -> None:
    torch.manual_seed(0)
    encoder = NoiseEncoder(16, z=4, sentence=8, width=4).eval()
    images, sentence = torch.randn(2, 3, 16, 16), torch.randn(2, 8)

    def means(a: Tensor, b: Tensor) -> Tensor:
        mean, spread = encoder(a, b)
        assert mean.shape == spread.shape == (2, 4)
        return torch.as_tensor(mean)

    own = means(images, sentence)
    assert not torch.allclose(own, means(images.flip(0), sentence))
    assert not torch.allclose(own, means(images, sentence.flip(0)))
