"""Edits of photos by ManiGAN: the network works at its own size, its change is enlarged and added
to the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.bundle import Bundle, load_strict
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig, padding
from models.images import Letterbox, enlarge_change
from models.layers import fold_batch_norm
from models.manipulation.blocks import fold
from models.manipulation.network import DetailCorrection, MainModule, ManiganConfig, networks
from models.manipulation.photo import as_photo_encoder, photo_encoder
from models.pipeline import (
    Item,
    Pipeline,
    Pixels,
    config_from,
    generator,
    pattern,
    to_pixels,
    to_tensor,
)


@dataclass(frozen=True)
class Prepared:
    """Caption indices, noise of both kinds, the photo, where it lies in the square, and the square
    [S,S,3].
    """

    ids: tuple[int, ...]
    z: Tensor
    noise: Tensor
    photo: Image.Image
    box: Letterbox
    square: Pixels


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
            self.placed(fold(module))
        encoder = fold_batch_norm(photo_encoder(bundle, task, where).eval())
        self.image = as_photo_encoder(self.placed(encoder))
        self.config, self.text = config, text
        # None where the configuration does without.
        self.main = cast("MainModule | None", made.get("main"))
        self.dcm = cast("DetailCorrection | None", made.get("dcm"))

    def prepare(self, item: Item) -> Prepared:
        source = generator(item.seed)
        z = torch.randn(self.config.z, generator=source)
        noise = torch.randn(self.config.condition, generator=source)
        photo = item.images["image"]
        box = Letterbox.of(photo.width, photo.height, self.config.size)
        return Prepared(self.encode(item.text).ids, z, noise, photo, box, box.fit(photo))

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Pixels]:
        ids, lengths = self.captions([p.ids for p in batch])
        words, sentence = self.text(ids, lengths)
        words, pad = self.columns(words, padding(lengths, words.shape[2]))
        photos = to_tensor(np.stack([p.square for p in batch]), self.device)
        z, noise = (
            self.moved(torch.stack(x)) for x in ([p.z for p in batch], [p.noise for p in batch])
        )
        return list(to_pixels(self.compute(self._edit, z, noise, words, sentence, pad, photos)))

    def _edit(
        self,
        z: Tensor,
        noise: Tensor,
        words: Tensor,
        sentence: Tensor,
        pad: Tensor,
        photos: Tensor,
    ) -> Tensor:
        """The final picture [B,3,S,S] in [-1,1] of the networks there are."""
        seen = self.image.photo(photos)
        hidden = seen.regions
        if self.main is not None:
            alone = self.dcm is None
            out = self.main(
                z, noise, words, sentence, pad, seen.code, seen.regions, with_pictures=alone
            )
            hidden = out.pictures[-1] if alone else out.hidden
        return hidden if self.dcm is None else self.dcm(hidden, seen.detail, words, pad)[0]

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:
        before, after = (prepared.box.crop(x) for x in (prepared.square, pixels))
        return enlarge_change(prepared.photo, before, after)

    def example(self) -> Item:
        side = self.config.size
        return Item(self.known_word, 0, images={"image": pattern(side)})
