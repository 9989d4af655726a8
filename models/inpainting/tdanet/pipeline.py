"""Holes filled by TDANet. Picture 0 of a job is the mean (z = mu), the others are samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.damsm.text_encoder import padding
from models.explanation import Area, Explanation, explained_words, over_picture
from models.inpainting.pipeline import InpaintingPipeline, Prepared, by_item
from models.inpainting.tdanet.blocks import fold_blocks, fold_constant_channels
from models.inpainting.tdanet.network import (
    InpaintConfig,
    InpaintEncoder,
    InpaintGenerator,
    named_outputs,
)
from models.pipeline import Item, Output, OutputWithAttention, config_from

Attention = NDArray[np.float32]  # [T,squares,h,w]: of words over the cells of each square


class TdanetPipeline(InpaintingPipeline):
    reads_text = True

    def load_networks(self) -> None:
        config = self.config = config_from(InpaintConfig, self.spec.network, self.where)
        self.text = self.load_text_encoder()
        encoder = fold_blocks(self.load_state(InpaintEncoder(config), "encoder").eval())
        network = fold_blocks(self.load_state(InpaintGenerator(config), "generator").eval())
        if self.device.type == "cpu":
            for block in (encoder.prior, network.f_transformer):  # both take the encoder's summary
                fold_constant_channels(block, config.encoder[-1])
        self.encoder, self.generator = self.prepare_module(encoder), self.prepare_module(network)
        cells = self.spec.size >> len(config.encoder)
        self.latent = config.z, cells, cells

    def draws(self, item: Item) -> bool:
        return item.index > 0

    def prepare(self, item: Item) -> Prepared:
        return replace(
            super().prepare(item),
            ids=self.encode(item.text).ids,
            read=self.locate_words(item.text) if item.explain else (),
        )

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Output]:
        captions = [p.ids for p in batch for _ in p.squares]
        words, sentence, pad = self.encode_captions(self.text, captions, apart=False)
        words, pad = self.pad_words(words, pad)
        images, mask, noise = self.inputs(batch)
        inputs = images, mask, words, sentence, pad, noise
        if any(p.read for p in batch):
            return self._forward_with_attention(batch, inputs)
        return list(self.enlarged(batch, self.compute(self._fill, *inputs)))

    def _forward_with_attention(
        self, batch: Sequence[Prepared], inputs: Sequence[Tensor]
    ) -> list[Output]:
        """The same, with what the networks looked at for the items that ask for it."""
        with self.autocast():
            out, attention = self._attentive_fill(*inputs)
        made, looked = self.enlarged(batch, out), by_item(batch, attention)
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

    def _maps(self, attention: Tensor, words: int) -> Attention:
        """attention [squares,h·w,T] of one item's squares, with padding after its words."""
        by_word = attention[..., :words].permute(2, 0, 1).float().cpu().numpy()
        side = self.spec.size >> len(self.config.encoder)
        return by_word.reshape(words, -1, side, side)

    def explain(self, prepared: Prepared, maps: Attention) -> Explanation:
        height, width = prepared.hole_mask.shape
        areas = [Area(s.x, s.y, s.side, s.side) for s in prepared.squares]
        whole = partial(over_picture, areas=areas, width=width, height=height)
        words = explained_words(prepared.read, {"attention": maps}, maps.max((1, 2, 3)), whole)
        return Explanation(self.method, tuple(words))

    def raw_outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """image in [0,1], mask (1 = known), tokens [B,L], lengths, eps → :func:`named_outputs`."""
        lengths = given["lengths"].cpu()
        words, sentence = self.text(given["tokens"][:, : int(lengths.max())], lengths)
        pad = padding(lengths, words.shape[2]).to(words.device)
        images, mask = 2 * given["image"] - 1, given["mask"][:, :1]
        code = self.encoder(images, mask, words, sentence, pad)
        z, feature = code.mu + code.sigma * given["eps"], code.features[self.config.feature]
        pictures = self.generator(z, code.summary, feature, mask)
        return named_outputs(code.mu, code.sigma, pictures, images, mask)
