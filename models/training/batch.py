"""One training batch, and what a data set must offer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from jobs.captions import Vocabulary


@dataclass(frozen=True)
class Batch:
    """Tensors of B samples; pictures are float32 [B,3,S,S] in [-1,1].

    ids: int64 [B,L], zero padded; lengths: int64 [B]; class_ids: int64 [B], pairs of equal class
    are not negatives of
    each other; wrong_ids, wrong_lengths: a caption that does not fit the picture; source: the
    picture before an edit,
    ``images`` being the edit's target; hole: float32 [B,1,S,S], 1 = known, 0 = to be filled.
    """

    images: Tensor
    ids: Tensor
    lengths: Tensor
    class_ids: Tensor
    wrong_ids: Tensor
    wrong_lengths: Tensor
    source: Tensor | None = None
    hole: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()})


class TrainingData(Protocol):
    """A data set as the loop sees it: batches by part and by random source, nothing else."""

    name: str
    size: int
    vocabulary: Vocabulary
    max_words: int
    tokenizer: str
    domain: str
    licence: str

    def __len__(self) -> int: ...

    def batch(self, part: str, indices: np.ndarray, rng: np.random.Generator) -> Batch:
        """The batch of the samples ``indices`` for one of the parts damsm, synthesis,
        manipulation, inpainting.
        """
        ...
