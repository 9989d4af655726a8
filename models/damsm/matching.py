"""The DAMSM loss as generators are trained with it: frozen encoders, negatives from the batch of
all processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.damsm.losses import GAMMA1, GAMMA2, GAMMA3, damsm_losses
from models.damsm.text_encoder import TextEncoder, padding
from models.training.distributed import gathered, gathered_captions


@dataclass(frozen=True)
class Caption:
    """Encoded captions: words [B,D,T], sentence [B,D], lengths int64 [B]; pad bool [B,T], True
    where there is no word.
    """

    words: Tensor
    sentence: Tensor
    lengths: Tensor

    @property
    def pad(self) -> Tensor:
        return padding(self.lengths, self.words.shape[2])


@torch.no_grad()
def encoded(text: TextEncoder, ids: Tensor, lengths: Tensor) -> Caption:
    """Captions ids int64 [B,L], lengths int64 [B], by a frozen encoder."""
    words, sentence = text(ids, lengths)
    return Caption(words, sentence, lengths)


def matching_losses(
    seen: tuple[Tensor, Tensor],
    caption: Caption,
    class_ids: Tensor | None = None,
    gammas: tuple[float, float, float] = (GAMMA1, GAMMA2, GAMMA3),
) -> tuple[Tensor, Tensor]:
    """(word loss, sentence loss) of pictures, seen as regions [B,D,h,w] and code [B,D], with their
    captions; float32, whatever the features are in. class_ids int64 [B]: equal classes are no
    negatives.
    """
    words, lengths = gathered_captions(caption.words, caption.lengths)
    regions, code, sentence = (gathered(x.float()) for x in (*seen, caption.sentence))
    classes = None if class_ids is None else gathered(class_ids)
    with torch.autocast(regions.device.type, enabled=False):
        return damsm_losses((regions, code), (words, sentence, lengths), classes, gammas)
