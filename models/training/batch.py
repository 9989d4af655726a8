"""One training batch, and what a data set must offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from jobs.captions import Vocabulary
from models.errors import ModelsError


@dataclass(frozen=True)
class Batch:
    """Tensors of B samples; pictures are float32 [B,3,S,S] in [-1,1].

    ids: int64 [B,L], zero padded; lengths: int64 [B]; class_ids: int64 [B], pairs of equal class
    are no negatives of each other; negative_ids, negative_lengths: a caption that does not fit the
    picture; source: the picture before an edit, ``images`` being the edit's target; known_mask:
    float32 [B,1,S,S], 1 = known, 0 = to be filled; more_ids [B,K,L], more_lengths [B,K]: further
    captions of each picture, for mixing sentences; image_attributes, caption_attributes,
    negative_attributes: int64 [B,A], values of attributes where a data set knows them: of the
    picture, and as far as the caption or the negative one says them, else -1; code: float32 [B,n],
    what a data set that draws its pictures drew them from besides the caption, in the shapes of its
    ``latent``; labels: int64 [B,S,S], what each pixel of such a picture shows.
    """

    images: Tensor
    ids: Tensor
    lengths: Tensor
    class_ids: Tensor
    negative_ids: Tensor
    negative_lengths: Tensor
    source: Tensor | None = None
    known_mask: Tensor | None = None
    more_ids: Tensor | None = None
    more_lengths: Tensor | None = None
    image_attributes: Tensor | None = None
    caption_attributes: Tensor | None = None
    negative_attributes: Tensor | None = None
    code: Tensor | None = None
    labels: Tensor | None = None

    def need(self, name: str) -> Tensor:
        """A field that some data sets leave out. Raises ModelsError where this one does."""
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ModelsError(f"This data set has no {name}, which the training needs.")
        return value

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return self._each(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch where a GPU can fetch it while others compute."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        held: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: change(v) for k, v in held.items() if v is not None})


class TrainingData(Protocol):
    """One split of a data set as the loop sees it: batches by part, nothing else.

    fingerprint: hash of everything a batch depends on besides its random sources; attributes: how
    many attributes a picture has and how many values each, (0, 0) when unknown; min_words: captions
    of fewer words are unlike its own, 0 where it has short ones; latent: the shapes
    of what pictures are drawn from (:mod:`models.synthesis.efficient_t2i.latent`), empty when
    unknown.
    """

    name: str
    size: int
    vocabulary: Vocabulary
    max_words: int
    min_words: int
    tokenizer: str
    domain: str
    licence: str
    fingerprint: str
    attributes: tuple[int, int]
    latent: str

    def __len__(self) -> int: ...

    def batch(
        self, part: str, indices: Sequence[int], sources: Sequence[np.random.Generator]
    ) -> Batch:
        """The batch of the samples ``indices`` for one of the parts damsm, synthesis,
        manipulation, inpainting. Sample k is drawn from ``sources[k]`` alone, so that it does not
        depend on how a batch is split over processes.
        """
        ...
