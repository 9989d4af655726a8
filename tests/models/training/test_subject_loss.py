"""How far made pictures fall short of photos in showing the subject."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLiteClassifier
from models.damsm.subject_head import CLASSES
from models.errors import ModelsError
from models.training.subject_loss import SubjectLoss


def pictures(seed: int) -> Tensor:
    """Three of soft colours, 32 pixels."""
    noise = torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(noise, (32, 32), mode="bicubic").clamp(-1, 1)


def log_odds(images: Tensor) -> Tensor:
    """Of birds, by the classifier's probabilities."""
    x = functional.interpolate(images, (96, 96), mode="bilinear", align_corners=False)
    mass = EfficientNetLiteClassifier(0)(x)[1].double().softmax(1)[:, CLASSES["bird"]].sum(1)
    return torch.special.logit(mass)


def test_it_is_what_made_pictures_lack_of_the_photos_log_odds() -> None:
    made, photos = pictures(0), pictures(1)
    expected = (log_odds(photos).clamp(max=6) - log_odds(made)).clamp(min=0).mean()
    assert expected > 0
    torch.testing.assert_close(
        SubjectLoss("birds")(made, photos).double(), expected, rtol=1e-3, atol=1e-3
    )


def test_photos_themselves_lack_nothing() -> None:
    assert SubjectLoss("birds")(pictures(0), pictures(0)) < 1e-3


def test_only_the_made_pictures_learn() -> None:
    made, photos = pictures(0).requires_grad_(), pictures(1).requires_grad_()
    loss = SubjectLoss("flowers").train()
    lacking = loss(made, photos) + loss(photos.detach(), made.detach())
    lacking.backward()
    assert made.grad is not None
    assert made.grad.any()
    assert photos.grad is None
    assert not any(module.training for module in loss.classifier.modules())
    assert all(p.grad is None for p in loss.parameters())


def test_without_a_subject_it_is_refused() -> None:
    with pytest.raises(
        ModelsError, match=r"no subject for pictures of 'scenes'; set subject = 0\."
    ):
        SubjectLoss("scenes")
