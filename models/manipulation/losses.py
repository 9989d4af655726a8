"""ManiGAN's losses as the published models were trained with (paper sections 3.4 and 3.5, sums as
in the code).

Probabilities come from the discriminators, hence cross entropy on probabilities. Two departures
from the paper are the
published training's own: the L1 regulariser stands in the correction loss alone, and the
word-level term of the
discriminator loss depends on no trained weight (:func:`word_level_term`): it only shifts the
logged value.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.manipulation.discriminators import ManiganDiscriminator

LAMBDA_MATCH = 5.0  # weight of the DAMSM losses, birds and COCO
_GAMMA1, _GAMMA2 = 4.0, 5.0


def discriminator_loss(
    judge: ManiganDiscriminator, real: Tensor, fake: Tensor, sentence: Tensor
) -> Tensor:
    """Real, fake and mismatched pairs of one resolution; ``fake`` [B,3,S,S] is detached here.

    A mismatched pair is a real picture with its neighbour's sentence, so B must be at least 2.
    """
    seen, made = judge.features(real), judge.features(fake.detach())
    good = _bce(judge.UNCOND_DNET(seen), 1) + _bce(judge.COND_DNET(seen, sentence), 1)
    bad = (
        _bce(judge.UNCOND_DNET(made), 0)
        + _bce(judge.COND_DNET(made, sentence), 0)
        + _bce(judge.COND_DNET(seen[:-1], sentence[1:]), 0)
    )
    return good / 2 + bad / 3


def adversarial_loss(judge: ManiganDiscriminator, fake: Tensor, sentence: Tensor) -> Tensor:
    """What one discriminator asks of the generator, alone and with the sentence."""
    alone, matched = judge(fake, sentence)
    return _bce(alone, 1) + _bce(matched, 1)


def main_loss(
    adversarial: Sequence[Tensor], matching: Tensor, perceptual: Tensor, kl: Tensor
) -> Tensor:
    """The main module's loss: one adversarial term per resolution, the sum of the four DAMSM
    losses of the largest
    picture, :func:`perceptual_loss`, :func:`kl_loss`."""
    return torch.stack(list(adversarial)).sum() + LAMBDA_MATCH * matching + perceptual + kl


def correction_loss(adversarial: Tensor, matching: Tensor, out: Tensor, real: Tensor) -> Tensor:
    """The DCM's loss. L1 counts negative: it rewards change, against learning the identity."""
    return adversarial + LAMBDA_MATCH * matching - functional.l1_loss(out, real)


def perceptual_loss(detail: nn.Module, fakes: Sequence[Tensor], reals: Sequence[Tensor]) -> Tensor:
    """Mean over resolutions of the squared distance of VGG-16 relu2_2 features, pictures in
    [-1,1].
    """
    pairs = zip(fakes, reals, strict=True)
    terms = [functional.mse_loss(detail(fake), detail(real).detach()) for fake, real in pairs]
    return torch.stack(terms).mean()


def kl_loss(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL of the conditioning [B,condition] from N(0,1), mean over all elements."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).float().mean()


def word_level_term(regions: Tensor, words: Tensor, lengths: Tensor, matches: bool) -> Tensor:
    """The word-level part of the published discriminator loss, mean over the batch; kept for
    comparing logs.

    regions [B,D,h,w] of the real pictures at the discriminator's resolution; words [B,D,T];
    ``matches``: these are
    their own captions.
    """
    scores: list[Tensor] = []
    for region, word, length in zip(regions.flatten(2), words, lengths.tolist(), strict=True):
        e = word[:, :length]
        over_words = (region.T @ e).softmax(1)
        over_regions = (_GAMMA1 * over_words).softmax(0)
        relevance = functional.cosine_similarity(e, region @ over_regions, dim=0)
        scores.append((_GAMMA2 * relevance).logsumexp(0).sigmoid())
    return _bce(torch.stack(scores), int(matches))


def _bce(probabilities: Tensor, label: int) -> Tensor:
    with torch.autocast(probabilities.device.type, enabled=False):
        p = probabilities.float()
        return functional.binary_cross_entropy(p, torch.full_like(p, label))
