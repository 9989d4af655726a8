"""A held-out split of a photo folder: captions and photos, without knowledge of right colours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from models.data.masks import centre
from models.data.opening import open_photos
from models.data.photos import Photos
from models.evaluation.cases import Case, seeds
from models.evaluation.pictures import Pictures

_SMALLEST, _LARGEST = 0.02, 0.75  # shares of the photo: smaller or larger objects make no hole


@dataclass(frozen=True)
class HeldOutPhotos:
    """See :class:`models.evaluation.cases.HeldOut`. photos: opened at one size; the pictures of
    each size are made from it.
    """

    photos: Photos
    split: str
    seed: int = 0

    @property
    def name(self) -> str:
        return self.photos.name

    @property
    def fingerprint(self) -> str:
        return self.photos.fingerprint

    @property
    def domain(self) -> str:
        return self.photos.domain

    @cached_property
    def order(self) -> list[int]:
        """All photos in a random order that only the seed decides."""
        return [int(k) for k in np.random.default_rng(self.seed).permutation(len(self.photos))]

    def _picture(self, index: int, size: int) -> Image.Image:
        picture = self.photos.photo(index).convert("RGB")
        if picture.size == (size, size):
            return picture
        return picture.resize((size, size), Image.Resampling.LANCZOS)

    def _caption(self, index: int) -> str:
        """One of the photo's captions, always the same."""
        texts = self.photos.caption_texts(index)
        return texts[int(np.random.default_rng([self.seed, index]).integers(len(texts)))]

    def _chosen(self, task: str, count: int) -> list[tuple[int, int]]:
        """The first photos of the order, each with its seed."""
        chosen = self.order[:count]
        noise = seeds(self.seed, self.split, task, len(chosen))
        return list(zip(chosen, noise, strict=True))

    def synthesis(self, count: int, size: int) -> list[Case]:
        chosen = self._chosen("synthesize", count)
        return [Case(self._caption(k), s, self._picture(k, size)) for k, s in chosen]

    def references(self, count: int, size: int) -> Pictures:
        """All photos after the first ``count``."""
        return Pictures(lambda k: self._picture(k, size), self.order[count:])

    def alike(self, index: int, count: int, size: int) -> list[Image.Image]:
        """Photos of the same class: the nearest that photos have to one caption's pictures."""
        own = self.order[index]
        same = self._classes[self.photos.class_of(own)]
        return [self._picture(k, size) for k in same[:count]] if len(same) >= 4 else []

    @cached_property
    def _classes(self) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = defaultdict(list)
        for k in self.order:
            found[self.photos.class_of(k)].append(k)
        return found

    def manipulation(self, count: int, size: int) -> list[Case]:
        """Each photo with a caption of another one, of another class where there are classes."""
        return [
            Case(self._caption(self._other(place)), s, self._picture(k, size))
            for place, (k, s) in enumerate(self._chosen("manipulate", count))
        ]

    def _other(self, position: int) -> int:
        """The next photo in the order with another class; simply the next when all are one."""
        own = self.photos.class_of(self.order[position])
        following = [
            self.order[(position + n) % len(self.order)] for n in range(1, len(self.order))
        ]
        others = (k for k in following if self.photos.class_of(k) != own)
        return next(others, following[0] if following else self.order[position])

    def inpainting(self, count: int, size: int, kind: str) -> list[Case]:
        cases = []
        for k, s in self._chosen("inpaint", count):
            mask = self._mask(k, size, kind)
            if mask is not None:
                cases.append(Case(self._caption(k), s, self._picture(k, size), mask=mask))
        return cases

    def _mask(self, index: int, size: int, kind: str) -> Image.Image | None:
        """Mode L, 255 = hole. center: the middle square; object: what the data knows of the
        subject's place, or nothing; tiny and huge ones do not count.
        """
        if kind == "center":
            return Image.fromarray(np.where(centre(size) == 0, 255, 0).astype(np.uint8))
        mask = self.photos.object_mask(index)
        if mask is None or not _SMALLEST <= (np.asarray(mask) > 0).mean() <= _LARGEST:
            return None
        plane = np.where(np.asarray(mask) > 0, 255, 0).astype(np.uint8)
        return Image.fromarray(plane).resize((size, size), Image.Resampling.NEAREST)


def open_held_out_photos(where: str, size: int, split: str, seed: int = 0) -> HeldOutPhotos:
    """One split of the data folder ``where`` at ``size`` pixels, for judging."""
    return HeldOutPhotos(open_photos(where, size=size, split=split), split, seed)
