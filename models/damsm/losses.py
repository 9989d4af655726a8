"""The DAMSM losses (AttnGAN section 3.3, equations 7–13)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.damsm.text_encoder import TextEncoder, padding
from models.training.distributed import gather, gather_captions

GAMMA1, GAMMA2, GAMMA3 = 4.0, 5.0, 10.0


def sentence_scores(codes: Tensor, sentences: Tensor, gamma3: float = GAMMA3) -> Tensor:
    """γ3 · cosine of image codes [B,D] (rows) and sentences [B,D] (columns)."""
    product = codes @ sentences.T
    norms = codes.norm(dim=1)[:, None] * sentences.norm(dim=1)[None]
    return gamma3 * product / norms.clamp_min(1e-8)


def word_scores(
    regions: Tensor,
    words: Tensor,
    lengths: Tensor,
    gammas: tuple[float, float, float] = (GAMMA1, GAMMA2, GAMMA3),
) -> Tensor:
    """Matching scores γ3·R of every image (rows) with every caption (columns), equations 7–10.

    regions [B,D,h,w], words [B,D,T], lengths [B]. Regions attend over a caption's true words only.
    """
    gamma1, gamma2, gamma3 = gammas
    v = regions.flatten(2).float()
    e = words.float()
    pad = torch.arange(e.shape[2], device=e.device)[None] >= lengths[:, None]
    similarity = torch.einsum("jdn,idt->jint", v, e)
    over_words = similarity.masked_fill(pad[None, :, None], float("-inf")).softmax(3)
    over_regions = (gamma1 * over_words).softmax(2)
    # With c = Σ α v: e·c = Σ α s, and |c|² = αᵀ (VᵀV) α, so the contexts c are never formed.
    product = (over_regions * similarity).sum(2)
    gram = v.transpose(1, 2) @ v
    alpha = over_regions.permute(0, 1, 3, 2)
    squared = (torch.einsum("jitn,jnm->jitm", alpha, gram) * alpha).sum(3)
    norms = e.norm(dim=1)[None] * squared.clamp_min(1e-12).sqrt()
    relevance = product / norms.clamp_min(1e-8)
    masked = (gamma2 * relevance).masked_fill(pad[None], float("-inf"))
    return gamma3 * masked.logsumexp(2)


def contrastive_loss(scores: Tensor, class_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cross entropies image→caption and caption→image of scores [B,B+N]; equal classes are no
    negatives. The last N captions belong to none of the pictures: negatives of the first direction.
    """
    count = len(scores)
    if class_ids is not None:
        same = class_ids[:, None] == class_ids[None]
        same.fill_diagonal_(False)
        same = functional.pad(same, (0, scores.shape[1] - count))
        scores = scores.masked_fill(same, float("-inf"))
    target = torch.arange(count, device=scores.device)
    to_captions = functional.cross_entropy(scores, target)
    return to_captions, functional.cross_entropy(scores[:, :count].T, target)


def ranking_loss(codes: Tensor, sentences: Tensor, margin: float) -> Tensor:
    """What each wrong pair of codes [B,D] and sentences [B,D] lacks to be less alike than the right
    ones by ``margin``, both ways, summed and over B (Kiros et al. 2014, by cosines).
    """
    scores = sentence_scores(codes, sentences, 1.0)
    right = scores.diag()
    lacking = (margin + scores - right[:, None]).relu() + (margin + scores - right[None]).relu()
    return (lacking.sum() - lacking.diag().sum()) / len(scores)


def damsm_losses(
    photo: tuple[Tensor, Tensor],
    caption: tuple[Tensor, Tensor, Tensor],
    class_ids: Tensor | None = None,
    gammas: tuple[float, float, float] = (GAMMA1, GAMMA2, GAMMA3),
) -> tuple[Tensor, Tensor]:
    """(word loss, sentence loss), each the sum of both directions.

    photo: regions [B,D,h,w] and code [B,D]; caption: words [B,D,T], sentence [B,D], lengths [B].
    """
    (regions, code), (words, sentence, lengths) = photo, caption
    by_words = contrastive_loss(word_scores(regions, words, lengths, gammas), class_ids)
    by_sentence = contrastive_loss(sentence_scores(code, sentence, gammas[2]), class_ids)
    return by_words[0] + by_words[1], by_sentence[0] + by_sentence[1]


@dataclass(frozen=True)
class Caption:
    """Encoded: words [B,D,T], sentence [B,D], lengths [B]; pad bool [B,T], True past the end."""

    words: Tensor
    sentence: Tensor
    lengths: Tensor

    @property
    def pad(self) -> Tensor:
        return padding(self.lengths, self.words.shape[2])

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Words, sentence and padding, as generators take them."""
        return self.words, self.sentence, self.pad


@torch.no_grad()
def encode_captions(text: TextEncoder, ids: Tensor, lengths: Tensor) -> Caption:
    """Captions ids int64 [B,L], lengths int64 [B], by a frozen encoder."""
    words, sentence = text(ids, lengths)
    return Caption(words, sentence, lengths)


def matching_losses(
    features: tuple[Tensor, Tensor],
    caption: Caption,
    class_ids: Tensor | None = None,
    gammas: tuple[float, float, float] = (GAMMA1, GAMMA2, GAMMA3),
) -> tuple[Tensor, Tensor]:
    """(word loss, sentence loss) of pictures, seen as regions [B,D,h,w] and code [B,D], with their
    captions; float32, whatever the features are in. class_ids int64 [B]: equal classes are no
    negatives.
    """
    words, lengths = gather_captions(caption.words, caption.lengths)
    regions, code, sentence = (gather(x.float()) for x in (*features, caption.sentence))
    classes = None if class_ids is None else gather(class_ids)
    with torch.autocast(regions.device.type, enabled=False):
        return damsm_losses((regions, code), (words, sentence, lengths), classes, gammas)
