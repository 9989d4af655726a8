"""The DAMSM text encoder (AttnGAN section 3.2): a bidirectional RNN over word embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from models.bundle import Bundle, config_from, load_strict


@dataclass(frozen=True)
class TextEncoderConfig:
    """vocabulary counts the padding word 0, too; features are shared by both directions."""

    vocabulary: int
    words: int = 300
    features: int = 256
    rnn: str = "lstm"
    dropout: float = 0.5


class TextEncoder(nn.Module):
    """Captions to word and sentence features. Keys as published."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Embedding(config.vocabulary, config.words)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        self.drop = nn.Dropout(config.dropout)
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[config.rnn]
        self.rnn: nn.LSTM | nn.GRU = kind(
            config.words, config.features // 2, batch_first=True, bidirectional=True
        )

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode captions.

        ids: int64 [B,L], zero padded; lengths: int64 [B], each ≥ 1. Returns (words [B,features,T],
        sentence [B,features]) with T = lengths.max(); word columns past a caption's end are exact
        zeros.
        """
        if int(lengths.min()) < 1:
            raise ValueError("every caption needs at least one known word")
        packed = nn.utils.rnn.pack_padded_sequence(
            self.drop(self.encoder(ids)), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        output, state = self.rnn(packed)
        words, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
        final = state[0] if isinstance(state, tuple) else state
        sentence = final.transpose(0, 1).reshape(len(lengths), -1)
        return words.transpose(1, 2).contiguous(), sentence


def open_text_encoder(bundle: Bundle, task: str) -> TextEncoder:
    """That of a bundle's task. Raises BundleError when its weights do not fit."""
    where = f"bundle {bundle.name!r}, {task}"
    text = TextEncoder(config_from(TextEncoderConfig, bundle.task(task).text_encoder, where))
    load_strict(text, bundle.state(task, "text_encoder"), f"{where}: text_encoder")
    return text


def pad_rows(rows: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Captions' indices as ids int64 [B,L], zero padded, and lengths int64 [B]."""
    ids = pad_sequence([torch.as_tensor(row) for row in rows], batch_first=True)
    return ids, torch.tensor([len(row) for row in rows])


def padding(lengths: Tensor, width: int) -> Tensor:
    """bool [B,width], True where a caption of the given length has no word."""
    return torch.arange(width, device=lengths.device)[None] >= lengths[:, None]


def word_mask(pad: Tensor, positions: int, as_published: bool = False) -> Tensor:
    """Padding [B,L] for scores [B,positions,L] of picture positions over words.

    ``as_published`` repeats the slip of AttnGAN's family that the published weights were trained
    with: rows are ordered by sample, the mask by position, so samples of a batch read each other's
    padding. For a batch of one both agree.
    """
    if not as_published:
        return pad[:, None]
    return pad.repeat(positions, 1).view(len(pad), positions, -1)
