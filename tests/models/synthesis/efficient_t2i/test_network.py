"""Efficient-T2I at official and small sizes."""

from __future__ import annotations

import copy

import pytest
import torch

from models.layers import fold_spectral_norm
from models.synthesis.efficient_t2i.network import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
)

SMALL = GeneratorConfig(8, (2, 2, 1, 1), 8, 16, 8)


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(1)
    return torch.randn(count, 8, generator=source), torch.randn(count, 16, generator=source)


def test_published_model_has_its_size() -> None:
    with torch.device("meta"):
        generator = Generator(GeneratorConfig())
    assert GeneratorConfig().size == 256
    names = set(generator.state_dict())
    assert {
        "block1.weight_orig",
        "non_local.gamma",
        "block14.weight_orig",
        "bn.running_mean",
    } <= names


def test_pictures_lie_in_range_and_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    generator = Generator(SMALL).eval()
    z, sentence = inputs(4)
    with torch.no_grad():
        together = generator(z, sentence)
        alone = generator(z[1:2], sentence[1:2])
    assert together.shape == (4, 3, 32, 32)
    assert together.abs().max() <= 1
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    generator = Generator(SMALL).eval()
    folded = fold_spectral_norm(copy.deepcopy(generator))
    assert not any("weight_orig" in k for k in folded.state_dict())
    with torch.no_grad():
        assert torch.allclose(generator(*inputs(2)), folded(*inputs(2)), atol=1e-5)


def test_the_discriminator_reads_picture_and_sentence() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(8, (1, 1, 2, 2), 16, 16))
    images = torch.rand(3, 3, 32, 32, requires_grad=True)
    sentence = inputs(3)[1]
    logits = discriminator(images, sentence)
    assert logits.shape == (3,)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.abs().sum() > 0
    assert not torch.allclose(logits, discriminator(images, sentence.flip(0)))


@pytest.mark.parametrize("level", [0, 8, 16])
def test_attention_sits_where_the_configuration_says(level: int) -> None:
    generator = Generator(GeneratorConfig(8, (2, 2, 1, 1), 8, 16, level))
    assert hasattr(generator, "non_local") == bool(level)


def test_norms_in_train_mode_follow_the_data_inside_a_network_in_eval_mode() -> None:
    torch.manual_seed(0)
    generator = Generator(SMALL).eval()
    norms = [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    for norm in norms:
        norm.train()
    z, sentence = inputs(8)
    with torch.no_grad():
        generator(z, sentence)
    moved = [
        not torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True)
    ]
    assert all(moved)
