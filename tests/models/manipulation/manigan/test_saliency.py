"""Where the thing of a photo is."""

from __future__ import annotations

import torch

from models.manipulation.manigan.losses import foreground_saliency


def test_what_is_unlike_the_corners_is_found() -> None:
    torch.manual_seed(0)
    background, thing = torch.randn(2, 3, 16, 1, 1)
    features = background.expand(3, 16, 8, 8) + 0.1 * torch.randn(3, 16, 8, 8)
    features[:, :, 2:6, 3:7] = thing + 0.1 * torch.randn(3, 16, 4, 4)
    found = foreground_saliency(features, 32)
    assert found.shape == (3, 1, 32, 32)
    assert found.min() >= 0
    assert found.max() <= 1
    inside = found[:, :, 10:22, 14:26].mean()
    outside = torch.cat([found[:, :, :6].flatten(), found[:, :, :, :8].flatten()]).mean()
    assert inside > 0.85
    assert outside < 0.25


def test_a_photo_without_a_thing_is_no_error() -> None:
    assert torch.isfinite(foreground_saliency(torch.ones(2, 4, 6, 6), 16)).all()
