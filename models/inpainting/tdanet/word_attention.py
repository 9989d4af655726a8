"""How TDANet looks up the words of a caption from the cells of a picture."""

from __future__ import annotations

from torch import Tensor, nn

from models.damsm.text_encoder import word_mask
from models.runtime.precision import autocast_disabled, logits


class WordAttention(nn.Module):
    """Dual multimodal attention (paper section 3.2): words looked up by picture cells, then pooled
    over the cells. published_masks: see :func:`models.damsm.text_encoder.word_mask`.
    """

    def __init__(self, channels: int, text: int) -> None:
        super().__init__()
        self.published_masks = False
        self.conv_image = nn.Conv2d(channels, text, 1, bias=False)

    def forward(
        self, features: Tensor, words: Tensor, pad: Tensor, keep: Tensor, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        """features [B,C,h,w], words [B,text,T], pad bool [B,T] (True = none), keep bool [B,h·w].

        ``reverse`` flips the scores: cells then look for what they do not show. Returns (context
        [B,text], attention [B,h·w,T]); cells that are not kept attend to nothing.
        """
        query = self.conv_image(features).flatten(2).transpose(1, 2)
        scores = logits(query, words)
        if reverse:
            scores = -scores
        mask = word_mask(pad, query.shape[1], self.published_masks)
        attention = scores.masked_fill(mask, float("-inf")).softmax(2)
        attention = attention * keep[:, :, None]
        with autocast_disabled(attention):
            context = attention @ words.float().transpose(1, 2)
        return context.amax(1), attention


class NoWordAttention(nn.Module):
    """Zeros in the place of :class:`WordAttention`'s results."""

    def forward(
        self, features: Tensor, words: Tensor, pad: Tensor, keep: Tensor, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        cells = keep.shape[1]
        context = features.new_zeros(len(words), words.shape[1])
        return context, features.new_zeros(len(words), cells, words.shape[2])
