"""Where the thing of a photo is, and edits that leave the rest alone."""

from __future__ import annotations

import torch
from torch import Tensor

from models.manipulation.manigan.saliency import foreground_saliency, keep_background


def features_of_a_thing() -> Tensor:
    """[3,16,8,8]: background, and a thing in rows 2 to 6 and columns 3 to 7."""
    torch.manual_seed(0)
    background, thing = torch.randn(2, 3, 16, 1, 1)
    features = background.expand(3, 16, 8, 8) + 0.1 * torch.randn(3, 16, 8, 8)
    features[:, :, 2:6, 3:7] = thing + 0.1 * torch.randn(3, 16, 4, 4)
    return features


def test_what_is_unlike_the_border_is_found() -> None:
    found = foreground_saliency(features_of_a_thing(), 32)
    assert found.shape == (3, 1, 32, 32)
    assert found.min() >= 0
    assert found.max() <= 1
    inside = found[:, :, 10:22, 14:26].mean()
    outside = torch.cat([found[:, :, :6].flatten(), found[:, :, :, :8].flatten()]).mean()
    assert inside > 0.85
    assert outside < 0.25


def test_a_photo_without_a_thing_is_no_error() -> None:
    assert torch.isfinite(foreground_saliency(torch.ones(2, 4, 6, 6), 16)).all()


def test_features_of_another_scale_give_the_same() -> None:
    features = features_of_a_thing()
    assert torch.allclose(
        foreground_saliency(features, 32), foreground_saliency(300 * features, 32), atol=1e-5
    )


def test_a_thing_is_changed_in_full_and_the_background_by_the_share() -> None:
    photos, edited = torch.zeros(3, 3, 32, 32), torch.ones(3, 3, 32, 32)
    for share in (0.0, 0.25):
        change = keep_background(edited, photos, features_of_a_thing(), share)
        assert torch.equal(change[:, :, 12:20, 16:24], torch.ones(3, 3, 8, 8))
        behind = change[:, :, :, :6]
        assert behind.min() == share
        assert behind.mean() < share + 0.1
