"""TDANet: masks, words and batches."""

from __future__ import annotations

import copy

import torch

from models.inpainting.tdanet.blocks import fold_blocks
from models.inpainting.tdanet.network import (
    InpaintConfig,
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    InpaintEncoder,
    InpaintGenerator,
    compose,
)

SMALL = InpaintConfig((8, 8, 16), 1, (8, 8, 4), 3, 4, 12, 1)


def inputs(count: int = 3) -> tuple[torch.Tensor, ...]:
    source = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, 64, 64, generator=source) * 2 - 1
    mask = torch.ones(count, 1, 64, 64)
    mask[..., 16:40, 16:40] = 0
    words = torch.randn(count, 12, 5, generator=source)
    pad = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])[:count]
    words = words.masked_fill(pad[:, None], 0)
    return images, mask, words, torch.randn(count, 12, generator=source), pad


def run(
    encoder: InpaintEncoder, generator: InpaintGenerator, *given: torch.Tensor
) -> list[torch.Tensor]:
    with torch.no_grad():
        seen = encoder(*given)
        return generator(seen.mu, seen.summary, seen.features[1], given[1])


def networks() -> tuple[InpaintEncoder, InpaintGenerator]:
    torch.manual_seed(0)
    return InpaintEncoder(SMALL).eval(), InpaintGenerator(SMALL).eval()


def test_pictures_double_up_to_full_size() -> None:
    pictures = run(*networks(), *inputs())
    assert [p.shape[-1] for p in pictures] == [16, 32, 64]
    assert all(p.abs().max() <= 1 for p in pictures)


def test_a_picture_does_not_depend_on_its_batch() -> None:
    given = inputs()
    together = run(*networks(), *given)[-1]
    row = [x[1:2] for x in given]
    row[2], row[4] = row[2][..., :3], row[4][..., :3]  # alone there is no padding
    assert torch.allclose(together[1:2], run(*networks(), *row)[-1], atol=1e-5)


def test_hidden_pixels_are_not_seen() -> None:
    given = list(inputs())
    first = run(*networks(), *given)[-1]
    given[0] = given[0] * given[1] + 0.7 * (1 - given[1])
    assert torch.allclose(first, run(*networks(), *given)[-1], atol=1e-6)


def test_composition_keeps_known_pixels() -> None:
    images, mask, *_ = inputs()
    composed = compose(torch.zeros_like(images), images, mask)
    known = mask.expand_as(images) == 1
    assert torch.equal(composed[known], images[known])
    assert (composed[~known] == 0).all()


def test_folding_changes_nothing() -> None:
    encoder, generator = networks()
    folded = fold_blocks(copy.deepcopy(encoder)), fold_blocks(copy.deepcopy(generator))
    pairs = zip(run(encoder, generator, *inputs()), run(*folded, *inputs()), strict=True)  # type: ignore[arg-type]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_the_critic_scores_patches() -> None:
    critic = InpaintDiscriminator(InpaintDiscriminatorConfig((8, 8, 8), 2))
    assert critic(inputs()[0]).shape == (3, 1, 6, 6)


def test_published_networks_have_their_keys() -> None:
    with torch.device("meta"):
        names = set(InpaintEncoder(InpaintConfig()).state_dict())
    assert any(k.startswith("infer_prior5.") for k in names)
    assert any(k.startswith("word_attention.conv_image") for k in names)
