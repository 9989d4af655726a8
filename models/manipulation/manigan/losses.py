"""ManiGAN's losses as the published models were trained with (paper sections 3.4 and 3.5, sums as
in the code).

Probabilities come from the discriminators, hence cross entropy on probabilities. Two departures
from the paper: as in the published training the L1 regulariser stands in the correction loss alone;
the word-level term of the discriminator loss, which depends on no trained weight, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.manipulation.manigan.discriminators import ManiganDiscriminator
from models.training.losses import probability_loss

LAMBDA_MATCH = 5.0  # weight of the DAMSM losses, birds and COCO


def discriminator_loss(
    discriminator: ManiganDiscriminator, real: Tensor, fake: Tensor, sentence: Tensor
) -> Tensor:
    """Real, fake and mismatched pairs of one resolution; ``fake`` [B,3,S,S] is detached here.

    A mismatched pair is a real picture with its neighbour's sentence, so B must be at least 2.
    """
    seen, made = discriminator.features(real), discriminator.features(fake.detach())
    good = probability_loss(discriminator.UNCOND_DNET(seen), 1) + probability_loss(
        discriminator.COND_DNET(seen, sentence), 1
    )
    bad = (
        probability_loss(discriminator.UNCOND_DNET(made), 0)
        + probability_loss(discriminator.COND_DNET(made, sentence), 0)
        + probability_loss(discriminator.COND_DNET(seen[:-1], sentence[1:]), 0)
    )
    return good / 2 + bad / 3


def adversarial_loss(discriminator: ManiganDiscriminator, fake: Tensor, sentence: Tensor) -> Tensor:
    """What one discriminator asks of the generator, alone and with the sentence."""
    alone, matched = discriminator(fake, sentence)
    return probability_loss(alone, 1) + probability_loss(matched, 1)


def main_loss(
    adversarial: Sequence[Tensor], matching: Tensor, perceptual: Tensor, kl: Tensor
) -> Tensor:
    """The main module's loss: one adversarial term per resolution, the sum of the four DAMSM losses
    of the largest picture, :func:`perceptual_loss`, :func:`kl_loss`."""
    return torch.stack(list(adversarial)).sum() + LAMBDA_MATCH * matching + perceptual + kl


def correction_loss(adversarial: Tensor, matching: Tensor, out: Tensor, real: Tensor) -> Tensor:
    """The DCM's loss. L1 counts negative: it rewards change, against learning the identity."""
    return adversarial + LAMBDA_MATCH * matching - functional.l1_loss(out, real)


def perceptual_loss(
    detail: Callable[[Tensor], Tensor], fakes: Sequence[Tensor], reals: Sequence[Tensor]
) -> Tensor:
    """Mean over resolutions of the squared distance of VGG-16's relu2_2; pictures in [-1,1]."""
    pairs = zip(fakes, reals, strict=True)
    terms = [functional.mse_loss(detail(fake), detail(real).detach()) for fake, real in pairs]
    return torch.stack(terms).mean()


def kl_loss(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL of the conditioning [B,condition] from N(0,1), mean over all elements."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).float().mean()
