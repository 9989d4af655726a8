"""The photos of one split without their captions, decoded when they are asked for: for trainings
that look at pictures alone, and at larger ones than a cache should hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from jobs.captions import Vocabulary
from models.data import cache
from models.data.layouts.base import Listing
from models.data.photos import members
from models.data.prepare import Prepared
from models.training.batch import Batch


class WholePhotos:
    """Split ``split`` of ``listing`` as squares of ``size`` pixels, never cropped further. See
    :class:`models.training.batch.TrainingData`; a batch's captions are empty.
    """

    tokenizer = "regexp"
    max_words = 24
    min_words = 0
    attributes = (0, 0)
    latent = ""

    def __init__(
        self,
        listing: Listing,
        prepared: Prepared,
        *,
        size: int,
        split: str,
        limit: int | None = None,
    ) -> None:
        self.name, self.domain, self.licence = listing.name, listing.domain, listing.licence
        self.size, self.vocabulary = size, Vocabulary(prepared.words)
        self._layout = listing.layout
        self.records = members(listing, prepared, split, limit)
        facts = [cache.VERSION, prepared.content, split, size, [r.key for r in self.records]]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        self.fingerprint = f"{self.name}-{split}-{size}-{digest[:16]}"

    def __len__(self) -> int:
        return len(self.records)

    def photo(self, index: int) -> Image.Image:
        """RGB of ``size`` × ``size``."""
        return Image.fromarray(cache.square_photo(self.records[index], self.size, self._layout))

    def batch(
        self, part: str, indices: Sequence[int], sources: Sequence[np.random.Generator]
    ) -> Batch:
        planes = np.stack([np.asarray(self.photo(int(k))) for k in indices])
        images = torch.from_numpy(planes).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        none, counts = torch.zeros(len(planes), 1, dtype=torch.int64), torch.zeros(len(planes))
        lengths = counts.long()
        return Batch(images, none, lengths, torch.arange(len(planes)), none, lengths)
