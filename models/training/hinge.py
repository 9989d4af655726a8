"""Hinge losses of a discriminator that judges pictures together with sentences."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional


class Judge(Protocol):
    """Features of pictures, and logits [B,…] of features together with sentences."""

    def features(self, images: Tensor) -> tuple[Tensor, ...]: ...

    def logits(self, features: tuple[Tensor, ...], sentence: Tensor) -> Tensor: ...


Pair = tuple[Tensor, Tensor]  # pictures [B,3,S,S] in [-1,1] and sentences [B,D]


def judging_loss(judge: Judge, real: Pair, fake: Pair, wrong: Tensor, share: float) -> Tensor:
    """The discriminator's: real pairs against generated ones and, by ``share``, against real
    pictures with sentences ``wrong`` [B,D] that do not fit them (Reed et al. 2016).
    """
    made = judge.features(fake[0])
    loss = (1 - share) * _hinge(1 + judge.logits(made, fake[1]))
    good = judge.features(real[0])
    loss = loss + _hinge(1 - judge.logits(good, real[1]))
    if share:
        loss = loss + share * _hinge(1 + judge.logits(good, wrong))
    return loss


def fooling_loss(judge: Judge, fake: Pair) -> Tensor:
    """The generator's: minus the mean logit."""
    return -judge.logits(judge.features(fake[0]), fake[1]).float().mean()


def _hinge(margin: Tensor) -> Tensor:
    return functional.relu(margin.float()).mean()
