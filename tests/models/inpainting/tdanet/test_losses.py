"""How like the truth a fill is."""

from __future__ import annotations

import pytest
import torch

from models.inpainting.tdanet.losses import label_loss, mode_seeking_loss, pixel_weights

MASK = torch.ones(2, 1, 8, 8)
MASK[0, :, 2:6, 2:6] = 0
ALL = torch.ones(2)


def test_the_hole_and_small_things_in_it_weigh_more() -> None:
    labels = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels[:, 3, 3] = 7
    weight = pixel_weights(MASK, 4.0, labels, 2.0)
    assert weight.mean((1, 2, 3)).tolist() == pytest.approx([1, 1])
    known, hidden, eye = weight[0, 0, 0, 0], weight[0, 0, 2, 2], weight[0, 0, 3, 3]
    assert hidden / known == pytest.approx(5)
    assert eye / known == pytest.approx(13)
    assert torch.equal(weight[1], torch.ones(1, 8, 8))


def test_labels_are_those_of_the_counted_pixels() -> None:
    labels = torch.randint(0, 3, (2, 8, 8))
    right = 20.0 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    wrong_outside = torch.where(MASK.bool(), -right, right)
    assert label_loss(wrong_outside, labels, 1 - MASK) < 1e-3
    assert label_loss(-right, labels, 1 - MASK) > 5


def test_fills_that_ignore_their_latent_are_dear() -> None:
    latents = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2)
    one = torch.rand(2, 3, 8, 8)
    hole = torch.ones(2, 1, 8, 8)
    near, far = (mode_seeking_loss((one, one + gap), latents, hole, ALL) for gap in (0.01, 0.2))
    assert near > 10 * far
    # What changes outside of the hole is no difference of fills.
    same = mode_seeking_loss((one, one + MASK), latents, 1 - MASK, ALL)
    assert same > 5 * near


def test_only_pictures_that_count_are_sought() -> None:
    latents = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2)
    one, two, hole = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    second = [x[1:] for x in (one, two, *latents)]
    alone = mode_seeking_loss((second[0], second[1]), (second[2], second[3]), hole[1:], ALL[:1])
    found = mode_seeking_loss((one, two), latents, hole, torch.tensor([0.0, 1.0]))
    assert torch.allclose(found, alone)
    assert mode_seeking_loss((one, two), latents, hole, 0 * ALL) == 0
