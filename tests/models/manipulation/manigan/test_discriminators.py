"""ManiGAN's discriminators."""

from __future__ import annotations

import pytest
import torch

from models.manipulation.manigan.discriminators import ManiganDiscriminator


@pytest.mark.parametrize("size", [64, 128, 256])
def test_two_probabilities_per_picture(size: int) -> None:
    torch.manual_seed(0)
    discriminator = ManiganDiscriminator(size, 4, 12).eval()
    images = torch.rand(2, 3, size, size) * 2 - 1
    first, second = torch.randn(2, 12), torch.randn(2, 12)
    with torch.no_grad():
        alone, together = discriminator(images, first)
        same, other = discriminator(images, second)
    assert alone.shape == together.shape == (2,)
    assert ((together > 0) & (together < 1)).all()
    assert torch.equal(alone, same)
    assert not torch.equal(together, other)


@pytest.mark.parametrize(("size", "count"), [(64, 29), (128, 41), (256, 53)])
def test_published_keys(size: int, count: int) -> None:
    with torch.device("meta"):
        names = set(ManiganDiscriminator(size).state_dict())
    assert len(names) == count
    assert {
        "img_code_s16.8.weight",
        "COND_DNET.jointConv.0.weight",
        "UNCOND_DNET.outlogits.0.bias",
    } <= names
