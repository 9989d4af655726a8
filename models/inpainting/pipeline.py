"""Holes filled by TDANet, in squares around them; known pixels come back exactly as they were, as
the published composition pastes them: (1 − M) · made + M · photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from jobs.captions import Word
from models.bundle import Bundle, load_strict
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.detail.stage import DetailStage
from models.explanation import Area, Explanation, explained_words, over_picture
from models.geometry import HoleMask, Plane, Square, cut, paste, shrink, shrink_hole, squares
from models.inpainting.tdanet.blocks import fold_blocks, fold_constant_channels
from models.inpainting.tdanet.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.pipeline import (
    Item,
    Output,
    OutputWithAttention,
    Pipeline,
    Pixels,
    config_from,
    generator,
    pattern,
    returns_network,
    to_pixels,
    to_tensor,
)

Rows = TypeVar("Rows", Pixels, Tensor)
Attention = NDArray[np.float32]  # [T,squares,h,w]: of words over the cells of each square


@dataclass(frozen=True)
class Prepared:
    """Caption indices; the photo [H,W,3] uint8 and its hole [H,W]; its squares, each with pixels
    [S,S,3], known plane
    [S,S], and noise [z,h,w] or None for the mean; detailed: whether the detail stage enlarges them;
    own: whether colours stay the network's; read: the text's words, when the picture is to be
    explained."""

    ids: tuple[int, ...]
    photo: NDArray[np.uint8]
    hole_mask: HoleMask
    squares: tuple[Square, ...]
    pixels: tuple[Pixels, ...]
    known_masks: tuple[Plane, ...]
    noise: tuple[Tensor | None, ...]
    needs_detail: bool
    network_colours: bool
    read: tuple[Word, ...] = ()


class InpaintingPipeline(Pipeline[Prepared]):
    """See :class:`models.pipeline.Pipeline`. Picture 0 of a job is the mean (z = mu), the others
    are samples.
    """

    def __init__(self, bundle: Bundle, task: str, method: str, device: str, precision: str) -> None:
        super().__init__(bundle, task, method, device, precision)
        where = f"bundle {bundle.name!r}, {task}"
        self.config = config_from(InpaintConfig, self.spec.network, where)
        text = TextEncoder(config_from(TextEncoderConfig, self.spec.text_encoder, where))
        encoder, network = InpaintEncoder(self.config), InpaintGenerator(self.config)
        load_strict(text, bundle.state(task, "text_encoder"), f"{where}: text encoder")
        load_strict(encoder, bundle.state(task, "encoder"), f"{where}: encoder")
        load_strict(network, bundle.state(task, "generator"), f"{where}: generator")
        fold_blocks(encoder.eval())
        fold_blocks(network.eval())
        if self.device.type == "cpu":
            for block in (encoder.prior, network.f_transformer):  # both take the encoder's summary
                fold_constant_channels(block, self.config.encoder[-1])
        self.text = cast("TextEncoder", self.prepare_module(text))
        self.encoder = cast("InpaintEncoder", self.prepare_module(encoder))
        self.generator = cast("InpaintGenerator", self.prepare_module(network))
        self.detail = DetailStage.for_pipeline(self)

    def prepare(self, item: Item) -> Prepared:
        size = self.spec.size
        photo = np.asarray(item.resized_image("image"))
        hole = np.asarray(item.resized_image("mask")) >= 128
        found = tuple(squares(hole, size))
        crops = [(cut(photo, s), cut(hole.astype(np.uint8), s).astype(bool)) for s in found]
        source = generator(item.seed)
        noise = [torch.randn(self._latent, generator=source) if item.index else None for _ in found]
        return Prepared(
            ids=self.encode(item.text).ids,
            photo=photo,
            hole_mask=hole,
            squares=found,
            pixels=tuple(shrink(pixels, size) for pixels, _ in crops),
            known_masks=tuple(shrink_hole(gap, size) for _, gap in crops),
            noise=tuple(noise),
            needs_detail=self.detail is not None and any(square.side > size for square in found),
            network_colours=returns_network(item, native=hole.shape == (size, size)),
            read=self.locate_words(item.text) if item.explain else (),
        )

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Output]:
        captions = [p.ids for p in batch for _ in p.squares]
        words, sentence, pad = self.encode_captions(self.text, captions, apart=False)
        words, pad = self.pad_words(words, pad)
        images = to_tensor(np.stack([x for p in batch for x in p.pixels]), self.device)
        mask = self.to_device(
            torch.from_numpy(np.stack([x for p in batch for x in p.known_masks]))[:, None]
        )
        mean = torch.zeros(self._latent)
        noise = torch.stack([mean if x is None else x for p in batch for x in p.noise])
        inputs = images, mask, words, sentence, pad, self.to_device(noise)
        if any(p.read for p in batch):
            return self._forward_with_attention(batch, inputs)
        return list(self._pixels(batch, self.compute(self._fill, *inputs)))

    def _pixels(self, batch: Sequence[Prepared], out: Tensor) -> list[Pixels]:
        """The squares of each item, by the detail stage where the photo is larger than they are."""
        pixels = _by_item(batch, to_pixels(out))
        for k, rows in enumerate(_by_item(batch, out)):
            if batch[k].needs_detail and self.detail:
                pixels[k] = to_pixels(self.detail.enlarge(rows))
        return pixels

    def provenance(self, prepared: Prepared) -> dict[str, Any]:
        detail = self.detail.provenance if self.detail and prepared.needs_detail else {}
        return {"fidelity": "network" if prepared.network_colours else "photo", **detail}

    def _forward_with_attention(
        self, batch: Sequence[Prepared], inputs: Sequence[Tensor]
    ) -> list[Output]:
        """The same, with what the networks looked at for the items that ask for it."""
        with self.autocast():
            out, attention = self._attentive_fill(*inputs)
        made, looked = self._pixels(batch, out), _by_item(batch, attention)
        return [
            OutputWithAttention(pixels, self._maps(own, len(p.ids))) if p.read else pixels
            for p, pixels, own in zip(batch, made, looked, strict=True)
        ]

    def _fill(self, *inputs: Tensor) -> Tensor:
        """The largest picture [B,3,S,S] in [-1,1] of every square, alone."""
        return self._attentive_fill(*inputs)[0]

    def _attentive_fill(
        self,
        images: Tensor,
        mask: Tensor,
        words: Tensor,
        sentence: Tensor,
        pad: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The largest picture, and attention over words [B,h·w,T]."""
        seen = self.encoder(images, mask, words, sentence, pad)
        z = seen.mu + seen.sigma * noise
        out = self.generator(z, seen.summary, seen.features[self.config.feature], mask)[-1]
        return out, seen.attention

    @property
    def _latent(self) -> tuple[int, int, int]:
        """Shape of one square's noise."""
        cells = self.spec.size >> len(self.config.encoder)
        return self.config.z, cells, cells

    def _maps(self, attention: Tensor, words: int) -> Attention:
        """attention [squares,h·w,T] of one item's squares, with padding after its words."""
        by_word = attention[..., :words].permute(2, 0, 1).float().cpu().numpy()
        return by_word.reshape(words, -1, *self._latent[1:])

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        photo = prepared.photo.copy()
        rest = prepared.hole_mask.copy()
        for square, filled in zip(prepared.squares, pixels, strict=True):
            paste(photo, rest, square, filled, meet_colours=not prepared.network_colours)
        return Image.fromarray(photo)

    def explain(self, prepared: Prepared, maps: Attention) -> Explanation:
        height, width = prepared.hole_mask.shape
        areas = [Area(s.x, s.y, s.side, s.side) for s in prepared.squares]
        whole = partial(over_picture, areas=areas, width=width, height=height)
        words = explained_words(prepared.read, "attention", maps, maps.max((1, 2, 3)), whole)
        return Explanation(self.method, tuple(words))

    def example(self) -> Item:
        side = self.spec.size * (self.detail.scale if self.detail else 1)
        mask = Image.new("L", (side, side), 0)
        mask.paste(255, (side // 4, side // 4, side // 2, side // 2))
        return Item(
            self.known_word,
            0,
            images={"image": pattern(side), "mask": mask},
        )


def _by_item(batch: Sequence[Prepared], rows: Rows) -> list[Rows]:
    """One row per square → the rows of each item's squares."""
    ends = np.cumsum([len(p.squares) for p in batch])
    return [rows[end - len(p.squares) : end] for p, end in zip(batch, ends, strict=True)]
