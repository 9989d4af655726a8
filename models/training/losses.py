"""Losses: hinge, of discriminators that see sentences too; cross entropies; of edges."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from models.runtime.precision import autocast_disabled
from models.training.distributed import share_of_count


class ConditionalDiscriminator(Protocol):
    """Features of pictures, and logits [B,…] of features together with sentences."""

    def features(self, images: Tensor) -> tuple[Tensor, ...]: ...

    def logits(self, features: tuple[Tensor, ...], sentence: Tensor) -> Tensor: ...


ImagesWithSentences = tuple[Tensor, Tensor]  # pictures [B,3,S,S] in [-1,1] and sentences [B,D]


def discriminator_loss(
    discriminator: ConditionalDiscriminator,
    real: ImagesWithSentences,
    fake: ImagesWithSentences,
    negative_sentence: Tensor,
    negative_share: float,
) -> Tensor:
    """The discriminator's: real pairs against generated ones and, by ``negative_share``, against
    real pictures with sentences ``negative_sentence`` [B,D] that do not fit them (Reed et al.
    2016).
    """
    made = discriminator.features(fake[0])
    loss = (1 - negative_share) * _hinge(1 + discriminator.logits(made, fake[1]))
    good = discriminator.features(real[0])
    loss = loss + _hinge(1 - discriminator.logits(good, real[1]))
    if negative_share:
        loss = loss + negative_share * _hinge(1 + discriminator.logits(good, negative_sentence))
    return loss


def generator_loss(discriminator: ConditionalDiscriminator, fake: ImagesWithSentences) -> Tensor:
    """The generator's: minus the mean logit."""
    return -discriminator.logits(discriminator.features(fake[0]), fake[1]).float().mean()


def _hinge(margin: Tensor) -> Tensor:
    return functional.relu(margin.float()).mean()


LABELS = 10  # that a pixel of a drawn bird can have
_SMALL = (6, 7, 8)  # of these: bill, eye, legs


def small_part_mask(labels: Tensor) -> Tensor:
    """float32 [B,1,S,S] of labels [B,S,S]: 1 where a thing of few pixels is. No tensor of the
    wanted labels has to reach a device.
    """
    return torch.stack([labels == label for label in _SMALL]).any(0).float()[:, None]


def edge_loss(made: Tensor, images: Tensor, counted: Tensor) -> Tensor:
    """Mean absolute difference of gradients along both axes, over pixels counted [B,1,S,S]."""
    gap = (made - images) * counted
    found = gap.diff(dim=2).abs().sum() + gap.diff(dim=3).abs().sum()
    return found / share_of_count(counted.sum() * images.shape[1])


def probability_loss(probabilities: Tensor, label: int) -> Tensor:
    """Mean cross entropy of probabilities with ``label``, 0 or 1, in float32."""
    with autocast_disabled(probabilities):
        p = probabilities.float()
        return functional.binary_cross_entropy(p, torch.full_like(p, label))


def logit_loss(logits: Tensor, label: int) -> Tensor:
    """The same of logits."""
    with autocast_disabled(logits):
        x = logits.float()
        return functional.binary_cross_entropy_with_logits(x, torch.full_like(x, label))
