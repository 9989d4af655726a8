"""Word vectors that TAGAN is trained with, over the words of the data."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from jobs.captions import Vocabulary
from models.checkpoints.word_vectors import as_embedding, read_vectors
from models.damsm.text_encoder import TextEncoder, padding

_RMS = 0.3  # about that of fastText's vectors


def training_vectors(kind: str, text: TextEncoder, words: Vocabulary) -> nn.Embedding:
    """``damsm``: the frozen text encoder's embedding at fastText's level, no foreign data;
    ``learned``: new ones, to be trained; else those of a file
    (:func:`models.checkpoints.word_vectors.read_vectors`), words that it lacks as the mean of the
    others. Raises BundleError for a file that does not fit.
    """
    table = text.encoder.weight.detach().float()
    if kind == "learned":
        made = nn.Embedding(len(table), table.shape[1], padding_idx=0)
        nn.init.uniform_(made.weight[1:].detach(), -0.1, 0.1)
        return made
    if kind == "damsm":
        table = table * (_RMS / table[1:].square().mean().sqrt())
        return as_embedding(torch.cat([torch.zeros_like(table[:1]), table[1:]]))
    kept, found = read_vectors(Path(kind), words.words)
    places = {word: k for k, word in enumerate(kept)}
    mean = found.weight[1:].mean(0)
    rows = [found.weight[places[w]] if w in places else mean for w in words.words]
    return as_embedding(torch.stack(rows))


def look_up(vectors: nn.Module, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors [B,T,D] of captions int64 [B,T], and where they are padded, bool [B,T]."""
    return vectors(ids), padding(lengths, ids.shape[1]).to(ids.device)
