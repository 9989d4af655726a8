"""One split of a photo folder as training data: cached squares, encoded captions."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.captions import Vocabulary
from models.damsm.text_encoder import pad_rows
from models.data import cache
from models.data.layouts.base import DataError, Listing, Record
from models.data.masks import random_photo_hole
from models.data.photo_captions import Words, encode_texts, pad_groups
from models.data.prepare import Prepared
from models.training.batch import Batch

_TRIES = 100  # to find a caption of another class


@dataclass(frozen=True)
class SampleDraw:
    """What one sample's source decided. words: int64 [n] of its captions, n ≤ max_words."""

    row: int
    corner: tuple[int, int]
    mirrored: bool
    words: Words
    negative_words: Words
    more: list[Words]


class Photos:
    """Split ``split`` of ``listing`` at ``size`` pixels.

    records: the photos by index; dropped: keys of photos left out, broken or without a caption of
    known words; augment: mirror images, and random crops where photos are not cut tightly around
    their objects; else every picture is as ``photo``.
    """

    tokenizer = "regexp"
    max_words = 24
    attributes = (0, 0)
    latent = ""

    def __init__(
        self,
        listing: Listing,
        prepared: Prepared,
        *,
        size: int,
        split: str,
        folder: Path,
        vocabulary: Vocabulary | None = None,
        captions: int = 0,
        limit: int | None = None,
        augment: bool | None = None,
    ) -> None:
        """folder: where decoded photos are kept; augment: only the training split when None; the
        other arguments as for ``open_data``.
        """
        self.name, self.domain, self.licence = listing.name, listing.domain, listing.licence
        self.size, self.split, self.captions = size, split, captions
        self.augment = split == "train" if augment is None else augment
        self.vocabulary = vocabulary or Vocabulary(prepared.words)
        self._cached = members(listing, prepared, split, limit)
        self._cache = cache.SquareCache(
            self._cached, listing.layout, size, prepared.content, folder
        )
        self._squares = self._cache.photos()
        self._select_usable(listing)
        self.fingerprint = self._fingerprint(prepared.content)

    def _select_usable(self, listing: Listing) -> None:
        """Encode the captions, and keep the photos that decode and have one."""
        broken = frozenset(self._squares.broken)
        index = {word: k for k, word in enumerate(self.vocabulary.words) if k}
        known = [encode_texts(record.captions, index, self.tokenizer) for record in self._cached]
        rows = [k for k, r in enumerate(self._cached) if known[k] and r.key not in broken]
        kept = frozenset(rows)
        self.dropped = tuple(r.key for k, r in enumerate(self._cached) if k not in kept)
        if self.dropped:
            listed = ", ".join(self.dropped[:5])
            sys.stderr.write(f"{self.name} {self.split}: {len(self.dropped)} left out ({listed})\n")
        if not rows:
            raise DataError(
                f"{listing.folder} has no usable photo in its {self.split} split: none decodes and "
                "has a caption with a known word. python -m models data check DIR says what does "
                "not, and with --bundle BUNDLE which words a bundle's encoders lack."
            )
        self._rows = rows
        self.records = tuple(self._cached[k] for k in rows)
        self._captions = [known[k] for k in rows]
        # Networks trained on CUB and Oxford-102 draw birds and flowers for captions of two thirds
        # of the length of short ones there, and blurs for captions of half of it.
        lengths = [len(caption.words) for captions in self._captions for caption in captions]
        self.min_words = int(np.percentile(lengths, 1)) * 2 // 3
        self._classes = _class_ids(listing, self.records)
        several = len(np.unique(self._classes)) > 1
        self._kinds = self._classes if several else np.arange(len(rows))

    def _fingerprint(self, content: str) -> str:
        facts = [cache.VERSION, content, self.split, self.size, self.captions]
        facts += [self.augment, self.max_words, list(self.vocabulary.words), list(self.keys)]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return f"{self.name}-{self.split}-{self.size}-{digest[:16]}"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(record.key for record in self.records)

    def caption_texts(self, index: int) -> tuple[str, ...]:
        """The captions of photo ``index`` that training reads."""
        return tuple(caption.text for caption in self._captions[index])

    def class_of(self, index: int) -> str:
        return self.records[index].class_name

    def photo(self, index: int) -> Image.Image:
        """The middle of the cached square, RGB of ``size``×``size``, as it is."""
        return Image.fromarray(self._middle(self._squares.pixels[self._rows[index]]))

    def object_mask(self, index: int) -> Image.Image | None:
        """Mode L, 255 on the object, cut as ``photo``; None where it is unknown."""
        if self._masks is None:
            return None
        plane = self._middle(self._masks[self._rows[index]])
        return Image.fromarray(plane) if plane.any() else None

    def _middle(self, square: cache.Bytes) -> cache.Bytes:
        edge = (len(square) - self.size) // 2
        return np.array(square[edge : edge + self.size, edge : edge + self.size])

    @cached_property
    def _masks(self) -> cache.Bytes | None:
        """uint8 [N,C,C] beside the cached squares; None when no photo has a mask."""
        if not any(record.object_mask for record in self._cached):
            return None
        return self._cache.masks().pixels

    def batch(
        self, part: str, indices: Sequence[int], sources: Sequence[np.random.Generator]
    ) -> Batch:
        more = self.captions if part in ("synthesis", "damsm") else 0
        pairs = list(zip(indices, sources, strict=True))
        draws = [self._draw(int(k), rng, more) for k, rng in pairs]
        images = _pictures(self._squares.pixels, draws, self.size)
        ids, lengths = pad_rows([d.words for d in draws])
        wrong_ids, wrong_lengths = pad_rows([d.negative_words for d in draws])
        more_ids, more_lengths = pad_groups([d.more for d in draws]) if more else (None, None)
        return Batch(
            images=images,
            ids=ids,
            lengths=lengths,
            class_ids=torch.from_numpy(self._classes[list(indices)]),
            negative_ids=wrong_ids,
            negative_lengths=wrong_lengths,
            source=images if part == "manipulation" else None,
            known_mask=self._known_masks(draws, sources) if part == "inpainting" else None,
            more_ids=more_ids,
            more_lengths=more_lengths,
        )

    def _draw(self, index: int, rng: np.random.Generator, more: int) -> SampleDraw:
        """All decisions of one sample but its hole, in a fixed order."""
        own = self._captions[index]
        order = rng.permutation(len(own)) if more else rng.integers(len(own), size=1)
        spare = rng.integers(len(own), size=max(0, more + 1 - len(order)))
        chosen = [own[k] for k in (*order, *spare)][: more + 1]
        corner, mirrored = self._draw_crop(rng)
        mirrored = mirrored and not any(s.sided for s in chosen)
        word_rows = [self._subsample_words(s.words, rng) for s in chosen]
        wrong = self._captions[self._other(index, rng)]
        unfit = self._subsample_words(wrong[int(rng.integers(len(wrong)))].words, rng)
        return SampleDraw(self._rows[index], corner, mirrored, word_rows[0], unfit, word_rows[1:])

    def _draw_crop(self, rng: np.random.Generator) -> tuple[tuple[int, int], bool]:
        """The corner of a crop in the cached square, and whether to mirror it."""
        edge = self._squares.pixels.shape[1] - self.size
        if not self.augment:
            return (edge // 2, edge // 2), False
        corner = int(rng.integers(edge + 1)), int(rng.integers(edge + 1))
        return corner, bool(rng.random() < 0.5)

    def _subsample_words(self, words: Words, rng: np.random.Generator) -> Words:
        """At most max_words of ``words``, at random places in their order."""
        if len(words) <= self.max_words:
            return words
        return words[np.sort(rng.choice(len(words), self.max_words, replace=False))]

    def _other(self, index: int, rng: np.random.Generator) -> int:
        """A photo of another class, or another photo where all are of one class."""
        own = self._kinds[index]
        for _ in range(_TRIES):
            other = int(rng.integers(len(self)))
            if self._kinds[other] != own:
                return other
        others = np.flatnonzero(self._kinds != own)
        return int(others[rng.integers(len(others))]) if len(others) else index

    def _known_masks(
        self, draws: Sequence[SampleDraw], sources: Sequence[np.random.Generator]
    ) -> Tensor:
        """float32 [B,1,S,S]: 1 = known, 0 = to be filled."""
        things = _crops(self._masks, draws, self.size) if self._masks is not None else None
        holes = [
            random_photo_hole(None if things is None else things[k] / np.float32(255), self.size, r)
            for k, r in enumerate(sources)
        ]
        return torch.from_numpy(np.stack(holes)[:, None])


def members(
    listing: Listing, prepared: Prepared, split: str, limit: int | None
) -> tuple[Record, ...]:
    """The records of the split; ``limit`` of them are spread evenly, so over all classes."""
    if split not in prepared.split:
        known = ", ".join(sorted(prepared.split))
        raise DataError(f"There is no split {split!r}; choose one of {known}.")
    by_key = {record.key: record for record in listing.records}
    keys = prepared.split[split]
    missing = [key for key in keys if key not in by_key]
    if missing:
        raise DataError(
            f"{listing.folder} lacks {len(missing)} prepared photos, {missing[0]} for one; "
            "prepare the data anew."
        )
    if limit and limit < len(keys):
        keys = tuple(keys[k * len(keys) // limit] for k in range(limit))
    return tuple(by_key[key] for key in keys)


def _class_ids(listing: Listing, records: Sequence[Record]) -> Words:
    """int64 [N]: the place of a record's class in the whole set; a number of its own without."""
    names = sorted({r.class_name for r in listing.records} - {""})
    places = {name: k for k, name in enumerate(names)}
    own = {r.key: len(names) + k for k, r in enumerate(listing.records)}
    return np.asarray([places.get(r.class_name, own[r.key]) for r in records], np.int64)


def _crops(squares: cache.Bytes, draws: Sequence[SampleDraw], size: int) -> cache.Bytes:
    """uint8 [B,S,S,...]: the drawn crops of the squares [N,C,C,...]."""
    out = np.empty((len(draws), size, size, *squares.shape[3:]), np.uint8)
    for k, draw in enumerate(draws):
        y, x = draw.corner
        crop = squares[draw.row, y : y + size, x : x + size]
        out[k] = crop[:, ::-1] if draw.mirrored else crop
    return out


def _pictures(squares: cache.Bytes, draws: Sequence[SampleDraw], size: int) -> Tensor:
    """float32 [B,3,S,S] in [-1,1]."""
    planes = torch.from_numpy(_crops(squares, draws, size)).permute(0, 3, 1, 2).contiguous()
    return planes.float().div_(127.5).sub_(1)
