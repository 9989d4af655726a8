"""Holes filled by a network, in squares around them; known pixels come back exactly as they were,
as the published compositions paste them: (1 − M) · made + M · photo.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jobs.captions import Word
from models.errors import InputProblem
from models.geometry import HoleMask, Plane, Square, cut, paste, shrink, shrink_hole, squares
from models.pipeline import (
    Item,
    Output,
    Pipeline,
    Pixels,
    generator,
    pattern,
    returns_network,
    to_pixels,
    to_tensor,
)

Rows = TypeVar("Rows", Pixels, Tensor)


@dataclass(frozen=True)
class Prepared:
    """The photo [H,W,3] uint8 and its hole [H,W]; its squares, each with pixels [S,S,3], known
    plane [S,S], and noise [z,h,w] where the network takes any; detailed: whether the detail stage
    enlarges them; own: whether colours stay the network's; ids: the caption's indices; read: the
    text's words, when the picture is to be explained.
    """

    photo: NDArray[np.uint8]
    hole_mask: HoleMask
    squares: tuple[Square, ...]
    pixels: tuple[Pixels, ...]
    known_masks: tuple[Plane, ...]
    noise: tuple[Tensor, ...]
    needs_detail: bool
    network_colours: bool
    ids: tuple[int, ...] = ()
    read: tuple[Word, ...] = ()


class InpaintingPipeline(Pipeline[Prepared]):
    """See :class:`models.pipeline.Pipeline`. What all networks share that fill holes; each method
    adds its networks and :meth:`_fill`.
    """

    latent: tuple[int, int, int] | None = None  # shape of one square's noise, if there is any
    reads_text = False

    @abstractmethod
    def load_networks(self) -> None:
        """Build the bundle's networks and set ``latent``."""

    @abstractmethod
    def _fill(self, *inputs: Tensor) -> Tensor:
        """Pictures [B,3,S,S] in [-1,1] of squares: images [B,3,S,S] in [-1,1], mask [B,1,S,S] (1 =
        known), and noise [B,*latent] where there is any.
        """

    def draws(self, item: Item) -> bool:
        """Whether the item's latent is drawn; else it is the mean."""
        return True

    def prepare(self, item: Item) -> Prepared:
        if item.explain and not self.reads_text:
            raise InputProblem("bad_input", f"Method {self.method!r} does not look at words.")
        size = self.spec.size
        photo = np.asarray(item.resized_image("image"))
        hole = np.asarray(item.resized_image("mask")) >= 128
        found = tuple(squares(hole, size))
        crops = [(cut(photo, s), cut(hole.astype(np.uint8), s).astype(bool)) for s in found]
        return Prepared(
            photo=photo,
            hole_mask=hole,
            squares=found,
            pixels=tuple(shrink(pixels, size) for pixels, _ in crops),
            known_masks=tuple(shrink_hole(gap, size) for _, gap in crops),
            noise=self._draw(item, len(found)),
            needs_detail=self.detail is not None and any(square.side > size for square in found),
            network_colours=returns_network(item, native=hole.shape == (size, size)),
        )

    def _draw(self, item: Item, count: int) -> tuple[Tensor, ...]:
        if self.latent is None:
            return ()
        if not self.draws(item):
            return (torch.zeros(self.latent),) * count
        source, scale = generator(item.seed), item.noise_scale
        return tuple(scale * torch.randn(self.latent, generator=source) for _ in range(count))

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Output]:
        return list(self.enlarged(batch, self.compute(self._fill, *self.inputs(batch))))

    def inputs(self, batch: Sequence[Prepared]) -> tuple[Tensor, ...]:
        """Images, masks and noise of all squares, as :meth:`_fill` takes them."""
        images = to_tensor(np.stack([x for p in batch for x in p.pixels]), self.device)
        mask = self.to_device(
            torch.from_numpy(np.stack([x for p in batch for x in p.known_masks]))[:, None]
        )
        if self.latent is None:
            return images, mask
        noise = torch.stack([x for p in batch for x in p.noise])
        return images, mask, self.to_device(noise)

    def enlarged(self, batch: Sequence[Prepared], out: Tensor) -> list[Pixels]:
        """The squares of each item, by the detail stage where the photo is larger than they are."""
        pixels = by_item(batch, to_pixels(out))
        for k, rows in enumerate(by_item(batch, out)):
            if batch[k].needs_detail and self.detail:
                pixels[k] = to_pixels(self.detail.enlarge(rows))
        return pixels

    def provenance(self, prepared: Prepared) -> dict[str, Any]:
        detail = self.detail.provenance if self.detail and prepared.needs_detail else {}
        return {"fidelity": "network" if prepared.network_colours else "photo", **detail}

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        photo = prepared.photo.copy()
        rest = prepared.hole_mask.copy()
        for square, filled in zip(prepared.squares, pixels, strict=True):
            paste(photo, rest, square, filled, meet_colours=not prepared.network_colours)
        return Image.fromarray(photo)

    def example(self) -> Item:
        side = self.spec.size * (self.detail.scale if self.detail else 1)
        mask = Image.new("L", (side, side), 0)
        mask.paste(255, (side // 4, side // 4, side // 2, side // 2))
        return Item(self.known_word, 0, images={"image": pattern(side), "mask": mask})


def by_item(batch: Sequence[Prepared], rows: Rows) -> list[Rows]:
    """One row per square → the rows of each item's squares."""
    ends = np.cumsum([len(p.squares) for p in batch])
    return [rows[end - len(p.squares) : end] for p, end in zip(batch, ends, strict=True)]
