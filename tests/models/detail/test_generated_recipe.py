"""What a detail stage that learns from generated pictures is asked for besides looking real."""

from __future__ import annotations

import torch

from models.detail.generated_recipe import Pictures, unevenness


def test_pictures_without_a_grid_are_even() -> None:
    photo = torch.rand(4, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert unevenness(photo, 4) < 1e-3


def test_a_grid_of_blocks_is_uneven_along_both_axes() -> None:
    blocks = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    enlarged = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    # All steps stand at one position of four: (1/0.25 - 1)² + 3 · 1² = 12 along each axis.
    assert torch.isclose(unevenness(enlarged, 4), torch.tensor(24.0), rtol=1e-3)


def test_an_even_picture_pulls_nowhere_and_a_grid_does() -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    grid = torch.zeros(64)
    grid[::4] = 0.2
    rough = (picture + grid).requires_grad_()
    loss = unevenness(rough, 4)
    (gradient,) = torch.autograd.grad(loss, rough)
    assert unevenness(rough - 1e-2 * gradient / gradient.norm(), 4) < loss


def test_pictures_come_back_as_they_were() -> None:
    levels = torch.randint(0, 256, (5, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    pictures = levels.float() / 255 * 2 - 1
    drawn = Pictures(pictures)(torch.tensor([0.0, 0.39, 0.999]))
    assert torch.allclose(drawn, pictures[[0, 1, 4]], atol=1e-6)
