"""A discriminator of patches that knows where the hole is and what the caption says: real edges
have one width, whatever they are the edges of.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers import conv, linear

_SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """Pictures with their masks to logits at a quarter and an eighth of the side; the coarser map
    has the inner product with the projected sentence (Miyato and Koyama 2018) at each position.
    """

    def __init__(self, width: int, sentence: int) -> None:
        super().__init__()
        w = width
        self.first = conv(4, w, 3, spectral=True)
        self.second = conv(w, 2 * w, 3, spectral=True)
        self.third = conv(2 * w, 3 * w, 3, spectral=True)
        self.fourth = conv(3 * w, 3 * w, 3, spectral=True)
        self.fine = conv(2 * w, 1, 3, spectral=True)
        self.coarse = conv(3 * w, 1, 3, spectral=True)
        self.sentence = linear(sentence, 3 * w, spectral=True)

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Pictures in [-1,1] and masks, 1 = known, side by side [B,4,S,S] → maps [B,2w,S/4,S/4] and
        [B,3w,S/8,S/8].
        """
        h = functional.avg_pool2d(_active(self.first(images)), 2)
        fine = functional.avg_pool2d(_active(self.second(h)), 2)
        coarse = functional.avg_pool2d(_active(self.third(fine)), 2)
        return fine, _active(self.fourth(coarse))

    def logits(self, features: tuple[Tensor, ...], sentence: Tensor) -> Tensor:
        """[B,positions of both maps]."""
        fine, coarse = features
        query = functional.normalize(self.sentence(sentence), dim=1).to(coarse.dtype)
        matched = torch.einsum("bchw,bc->bhw", coarse, query).flatten(1)
        maps = [self.fine(fine).flatten(1), self.coarse(coarse).flatten(1) + matched]
        return torch.cat(maps, 1).float()


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)
