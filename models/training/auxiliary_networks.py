"""Small networks that help the generator in its own run, both from random weights.

:class:`AuxiliaryClassifier` (AC-GAN, Odena et al. 2017) learns from real pictures which attributes
they show, and tells the generator what its pictures show. :class:`NoiseEncoder` (VAE-GAN, Larsen et
al. 2016) finds the noise from which the generator can draw a real picture again: every picture of
the data has then a place in the noise, so layouts come within minutes and modes can't be dropped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelsError
from models.training.distributed import share_of_count

_BOTTOM = 4
_WIDEST = 128
_SMALLEST, _LARGEST = -8.0, 4.0  # of a log variance


class AuxiliaryClassifier(nn.Module):
    """Strided convolutions down to 4×4, then one linear layer over all positions: where a part is
    says which part it is. It looks at half the size, where a generator can't please it by texture.
    """

    def __init__(self, size: int, attributes: int, values: int, width: int = 32) -> None:
        super().__init__()
        self.shape = (attributes, values)
        self.body, features = _strided(size // 2, width)
        self.read = nn.Linear(features, attributes * values)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures [B,3,S,S] in [-1,1] → logits [B,attributes,values]."""
        logits: Tensor = self.read(self.body(functional.avg_pool2d(images, 2)).flatten(1))
        return logits.view(-1, *self.shape)


class NoiseEncoder(nn.Module):
    """Mean and log variance of the noise behind a picture, given its caption: what the caption says
    already need not be in the noise.
    """

    def __init__(self, size: int, z: int, sentence: int, width: int = 32) -> None:
        super().__init__()
        self.body, features = _strided(size, width)
        self.hidden = nn.Linear(features + sentence, 2 * _WIDEST)
        self.read = nn.Linear(2 * _WIDEST, 2 * z)

    def forward(self, images: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B,3,S,S] in [-1,1] and sentences [B,D] → mean [B,z], log variance [B,z]."""
        seen = torch.cat([self.body(images).flatten(1), sentence], 1)
        mean, spread = self.read(functional.relu(self.hidden(seen))).float().chunk(2, 1)
        return mean, spread.clamp(_SMALLEST, _LARGEST)


def _strided(size: int, width: int) -> tuple[nn.Sequential, int]:
    """Convolutions of stride 2 down to 4×4, and how many numbers they leave."""
    layers: list[nn.Module] = []
    before, side = 3, size
    while side > _BOTTOM:
        conv = nn.Conv2d(before, width, 3, 2, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
        before, width, side = width, min(2 * width, _WIDEST), side // 2
    return nn.Sequential(*layers), before * side**2


def reconstruction_loss(again: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of pictures [B,3,S,S] in [-1,1], and of them eight times smaller:
    what is far off must come nearer before what is near gets exact.
    """
    gap = again - images
    return gap.abs().mean() + functional.avg_pool2d(gap, 8).abs().mean()


def kl_divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """KL(N(mean, exp(spread)) ‖ N(0,1)) in nats, batch mean (Kingma and Welling 2014)."""
    return ((mean.square() + spread.exp() - 1 - spread).sum(1) / 2).mean()


def attribute_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of logits [B,A,V] with values int64 [B,A]; -1 counts for nothing. Each value
    of the whole batch weighs the same, whichever process sees it.
    """
    flat = wanted.flatten()
    loss = functional.cross_entropy(
        logits.float().flatten(0, 1), flat, ignore_index=-1, reduction="sum"
    )
    return loss / share_of_count((flat >= 0).float().sum())


def build_classifier(size: int, attributes: tuple[int, int]) -> AuxiliaryClassifier:
    """For a data set's attributes and values of each; raises ModelsError when it has none."""
    if not all(attributes):
        raise ModelsError(
            "This data set knows no attributes; take a preset for photos (--preset cub), or --set "
            "attributes=0."
        )
    return AuxiliaryClassifier(size, *attributes)


def reading_loss(
    classifier: AuxiliaryClassifier, images: Tensor, attributes: Tensor, *, learns: bool
) -> tuple[Tensor, Tensor]:
    """The loss of reading attributes (int64 [B,A], -1 for nothing) from pictures [B,3,S,S], and the
    share that is read so: the classifier's own from real ones, or a generator's from what it made.
    """
    logits = classifier.train(learns)(images)
    return attribute_loss(logits, attributes), attribute_accuracy(logits, attributes)


@torch.no_grad()
def attribute_accuracy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Share of the wanted values (not -1) that the logits name."""
    known = wanted >= 0
    return (logits.argmax(2) == wanted)[known].float().mean()
