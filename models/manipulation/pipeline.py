"""Edits of photos by ManiGAN. The network works at its own size, and its picture is returned; or
its change is enlarged along the photo's edges and added to the photo. No detail stage finds these
as well as they are in the photo; it enlarges photos that have too few pixels themselves, and the
network's own pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from jobs.captions import Word
from models.bundle import Bundle, load_strict
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.detail.stage import DetailStage
from models.explanation import Area, Explanation, explained_words, over_picture
from models.geometry import Letterbox, Plane, enlarge_change
from models.layers import fold_batch_norm
from models.manipulation.manigan.blocks import affine_maps, fold_blocks
from models.manipulation.manigan.network import (
    DetailCorrection,
    MainModule,
    ManiganConfig,
    networks,
)
from models.manipulation.manigan.photo_encoder import as_photo_encoder, photo_encoder
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
    to_image,
    to_pixels,
    to_tensor,
)

# Pixels from which captions are read one by one on CPUs. All that the text says passes a few cells
# first, and at 256 pixels rounding makes up to 20/255 of the last bits that a batch changes there;
# at 64 it makes 1/255, and reading would take a tenth of the time.
_LARGE = 128


@dataclass(frozen=True)
class Prepared:
    """Caption indices, noise of both kinds, the photo, where it lies in the square, and the square
    [S,S,3]; own: whether the network's picture itself is asked for; enlarged: where the photo lies
    in the square that the detail stage makes of that one, for a result that is to become larger
    than the networks' pictures, and has no more pixels; read: the text's words, when the picture is
    to be explained.
    """

    ids: tuple[int, ...]
    z: Tensor
    noise: Tensor
    photo: Image.Image
    box: Letterbox
    square: Pixels
    own: bool
    enlarged: Letterbox | None = None
    read: tuple[Word, ...] = ()


@dataclass(frozen=True)
class AttentionMaps:
    """attention float32 [T,h,w] of words over the square; features by name, each [S,S]."""

    attention: Plane
    features: dict[str, Plane]


class ManipulationPipeline(Pipeline[Prepared]):
    """See :class:`models.pipeline.Pipeline`."""

    def __init__(self, bundle: Bundle, task: str, method: str, device: str, precision: str) -> None:
        super().__init__(bundle, task, method, device, precision)
        where = f"bundle {bundle.name!r}, {task}"
        config = config_from(ManiganConfig, self.spec.network, where)
        text = TextEncoder(config_from(TextEncoderConfig, self.spec.text_encoder, where))
        made = networks(config)
        for role, module in {"text_encoder": text, **made}.items():
            load_strict(module, bundle.state(task, role), f"{where}: {role}")
            self.prepare_module(fold_blocks(module, self.device.type))
        encoder = fold_batch_norm(photo_encoder(bundle, task, where).eval())
        self.image = as_photo_encoder(self.prepare_module(encoder))
        self.config, self.text = config, text
        # None where the configuration does without.
        self.main = cast("MainModule | None", made.get("main"))
        self.dcm = cast("DetailCorrection | None", made.get("dcm"))
        self.detail = DetailStage.for_pipeline(self)

    def prepare(self, item: Item) -> Prepared:
        source = generator(item.seed)
        z = torch.randn(self.config.z, generator=source)
        noise = torch.randn(self.config.condition, generator=source)
        given, photo = item.images["image"], item.resized_image("image")
        box = Letterbox.of(photo.width, photo.height, self.config.size)
        ids = self.encode(item.text).ids
        read = self.locate_words(item.text) if item.explain else ()
        square, size = box.fit(given), self.config.size
        own = returns_network(item, native=max(photo.size) == size)
        small = max(photo.size) > size and (own or max(given.size) <= size)
        enlarged = box.enlarged(self.detail.scale) if small and self.detail else None
        return Prepared(ids, z, noise, photo, box, square, own, enlarged, read)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Output]:
        large = self.config.size >= _LARGE
        words, sentence, pad = self.encode_captions(self.text, [p.ids for p in batch], apart=large)
        words, pad = self.pad_words(words, pad)
        photos = to_tensor(np.stack([p.square for p in batch]), self.device)
        z, noise = (
            self.to_device(torch.stack(x)) for x in ([p.z for p in batch], [p.noise for p in batch])
        )
        inputs = z, noise, words, sentence, pad, photos
        if any(p.read for p in batch):
            return self._forward_with_attention(batch, inputs)
        return list(self._pixels(batch, photos, self.compute(self._edit, *inputs)))

    def _pixels(self, batch: Sequence[Prepared], photos: Tensor, edited: Tensor) -> list[Pixels]:
        """The edited squares, those that are to become large ones enlarged; or the enlarged photo
        with its change.
        """
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

    def _forward_with_attention(
        self, batch: Sequence[Prepared], inputs: Sequence[Tensor]
    ) -> list[Output]:
        """The same, with what the networks looked at for the items that ask for it."""
        with self.autocast(), affine_maps(self._explained_combination) as features:
            final, attention = self._attentive_edit(*inputs)
        edited = self._pixels(batch, inputs[-1], final)
        return [
            OutputWithAttention(made, _maps(attention[k, : len(p.ids)], features, k))
            if p.read
            else made
            for k, (p, made) in enumerate(zip(batch, edited, strict=True))
        ]

    @property
    def _explained_combination(self) -> nn.Module | None:
        """The combination that explanations show: where the words' features meet the photo's own
        detail at full size, or without a DCM at half of it.
        """
        if self.dcm is not None:
            return self.dcm.h_net.SAIN
        return None if self.main is None else self.main.h_net3.SAIN

    def _edit(self, *inputs: Tensor) -> Tensor:
        """The final picture [B,3,S,S] in [-1,1] alone."""
        return self._attentive_edit(*inputs)[0]

    def _attentive_edit(
        self,
        z: Tensor,
        noise: Tensor,
        words: Tensor,
        sentence: Tensor,
        pad: Tensor,
        photos: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The final picture of the networks there are, and attention over words [B,L,h,w]: the main
        module's last, which decides about colours, or else the DCM's.
        """
        seen = self.image.photo(photos)
        hidden, attention = seen.regions, cast("tuple[Tensor, ...]", ())
        if self.main is not None:
            alone = self.dcm is None
            out = self.main(
                z, noise, words, sentence, pad, seen.code, seen.regions, with_pictures=alone
            )
            hidden, attention = out.pictures[-1] if alone else out.hidden, out.attention
        if self.dcm is None:
            return hidden, attention[-1]
        final, own = self.dcm(hidden, seen.detail, words, pad)
        return final, (own, *attention)[-1]

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        if prepared.own or prepared.enlarged:
            made = to_image((prepared.enlarged or prepared.box).crop(pixels))
            return made.resize(prepared.photo.size, Image.Resampling.LANCZOS)
        before, after = (prepared.box.crop(x) for x in (prepared.square, pixels))
        return enlarge_change(prepared.photo, before, after)

    def explain(self, prepared: Prepared, maps: AttentionMaps) -> Explanation:
        photo = prepared.photo
        areas = [Area(*prepared.box.area(photo))]
        whole = partial(over_picture, areas=areas, width=photo.width, height=photo.height)
        shares = maps.attention.max((1, 2))
        words = explained_words(prepared.read, "attention", maps.attention, shares, whole)
        features = {name: whole(plane) for name, plane in maps.features.items()}
        return Explanation(self.method, tuple(words), features)

    def example(self) -> Item:
        side = self.config.size
        return Item(self.known_word, 0, images={"image": pattern(side)})


def _maps(attention: Tensor, features: Mapping[str, Tensor], index: int) -> AttentionMaps:
    planes = {name: feature[index].cpu().numpy() for name, feature in features.items()}
    return AttentionMaps(attention.float().cpu().numpy(), planes)
