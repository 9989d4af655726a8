"""Edits of photos, by whichever network. It works at its own size, and its picture is returned; or
its change is enlarged along the photo's edges and added to the photo. No detail stage finds these
as well as they are in the photo; it enlarges photos that have too few pixels themselves, and the
network's own pictures.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from jobs.captions import Word
from models.explanation import Area, Plane, over_picture
from models.geometry import Letterbox, enlarge_change
from models.pipeline import (
    Item,
    Output,
    OutputWithAttention,
    Pipeline,
    Pixels,
    generator,
    pattern,
    returns_network,
    to_image,
    to_pixels,
    to_tensor,
)


@dataclass(frozen=True)
class Prepared:
    """Caption indices, noise in the order of its kinds, the photo, where it lies in the square, and
    the square [S,S,3]; own: whether the network's picture itself is asked for; enlarged: where the
    photo lies in the square that the detail stage makes of that one, for a result that is to become
    larger than the networks' pictures, and has no more pixels; read: the text's words, when the
    picture is to be explained.
    """

    ids: tuple[int, ...]
    draws: tuple[Tensor, ...]
    photo: Image.Image
    box: Letterbox
    square: Pixels
    own: bool
    enlarged: Letterbox | None = None
    read: tuple[Word, ...] = ()


class ManipulationPipeline(Pipeline[Prepared]):
    """What a method's own pipeline adds: the networks, ``draws``, and the three methods that use
    them. draws: how many numbers from N(0,1) each kind of noise of a picture has.
    """

    draws: tuple[int, ...]

    @abstractmethod
    def read_captions(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
        """What the network needs of the captions, on the device."""

    @abstractmethod
    def _edit(self, *inputs: Tensor) -> Tensor:
        """Noise of each kind [B,n], what was read, photos [B,3,S,S] → edited ones, in [-1,1]."""

    def _edit_with_attention(
        self, batch: Sequence[Prepared], inputs: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Any]]:
        """The same, and what :meth:`explain` needs to know of each picture."""
        return self.compute(self._edit, *inputs), [()] * len(batch)  # which explain refuses

    def prepare(self, item: Item) -> Prepared:
        source = generator(item.seed)
        draws = tuple(torch.randn(count, generator=source) for count in self.draws)
        given, photo = item.images["image"], item.resized_image("image")
        size = self.spec.size
        box = Letterbox.of(photo.width, photo.height, size)
        ids = self.encode(item.text).ids
        read = self.locate_words(item.text) if item.explain else ()
        own = returns_network(item, native=max(photo.size) == size)
        small = max(photo.size) > size and (own or max(given.size) <= size)
        enlarged = box.enlarged(self.detail.scale) if small and self.detail else None
        return Prepared(ids, draws, photo, box, box.fit(given), own, enlarged, read)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Output]:
        photos = to_tensor(np.stack([p.square for p in batch]), self.device)
        kinds = zip(*(p.draws for p in batch), strict=True)
        draws = [self.to_device(torch.stack(rows)) for rows in kinds]
        inputs = (*draws, *self.read_captions([p.ids for p in batch]), photos)
        if not any(p.read for p in batch):
            return list(self._pixels(batch, photos, self.compute(self._edit, *inputs)))
        edited, maps = self._edit_with_attention(batch, inputs)
        return [
            OutputWithAttention(made, looked_at) if p.read else made
            for p, made, looked_at in zip(
                batch, self._pixels(batch, photos, edited), maps, strict=True
            )
        ]

    def _pixels(self, batch: Sequence[Prepared], photos: Tensor, edited: Tensor) -> list[Pixels]:
        """The edited squares, enlarged where asked for; or the enlarged photo with its change."""
        pixels = list(to_pixels(edited))
        for k, prepared in enumerate(batch):
            if not prepared.enlarged or not self.detail:
                continue
            small = (edited if prepared.own else photos)[k : k + 1]
            large = to_pixels(self.detail.enlarge(small))[0]
            if not prepared.own:
                whole = enlarge_change(to_image(large), prepared.square, pixels[k])
                large = np.asarray(whole, np.float32) / 255
            pixels[k] = large
        return pixels

    def provenance(self, prepared: Prepared) -> dict[str, Any]:
        detail = self.detail.provenance if self.detail and prepared.enlarged else {}
        return {"fidelity": "network" if prepared.own else "photo", **detail}

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        if prepared.own or prepared.enlarged:
            made = to_image((prepared.enlarged or prepared.box).crop(pixels))
            return made.resize(prepared.photo.size, Image.Resampling.LANCZOS)
        before, after = (prepared.box.crop(x) for x in (prepared.square, pixels))
        return enlarge_change(prepared.photo, before, after)

    def lay_over(self, prepared: Prepared) -> partial[Plane]:
        """What makes a map of the square one of the whole photo."""
        photo = prepared.photo
        areas = [Area(*prepared.box.area(photo))]
        return partial(over_picture, areas=areas, width=photo.width, height=photo.height)

    def example(self) -> Item:
        return Item(self.known_word, 0, images={"image": pattern(self.spec.size)})
