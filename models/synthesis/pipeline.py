"""Text to pictures by Efficient-T2I."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from models.bundle import Bundle, load_strict
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.pipeline import Item, Pipeline, Pixels, config_from, generator, to_image, to_pixels
from models.synthesis.network import Generator, GeneratorConfig, fold


@dataclass(frozen=True)
class Prepared:
    """Caption indices and noise [z]."""

    ids: tuple[int, ...]
    z: Tensor


class SynthesisPipeline(Pipeline[Prepared]):
    """See :class:`models.pipeline.Pipeline`."""

    def __init__(self, bundle: Bundle, task: str, method: str, device: str, precision: str) -> None:
        super().__init__(bundle, task, method, device, precision)
        where = f"bundle {bundle.name!r}, {task}"
        text = TextEncoder(config_from(TextEncoderConfig, self.spec.text_encoder, where))
        network = Generator(config_from(GeneratorConfig, self.spec.network, where))
        load_strict(text, bundle.state(task, "text_encoder"), f"{where}: text encoder")
        load_strict(network, bundle.state(task, "generator"), f"{where}: generator")
        self.text = cast("TextEncoder", self.placed(text))
        self.generator = cast("Generator", self.placed(fold(network.eval())))

    def prepare(self, item: Item) -> Prepared:
        z = torch.randn(self.generator.config.z, generator=generator(item.seed))
        return Prepared(self.encode(item.text).ids, z)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Prepared]) -> list[Pixels]:
        _, sentence = self.text(*self.captions([p.ids for p in batch]))
        z = self.moved(torch.stack([p.z for p in batch]))
        return list(to_pixels(self.compute(self.generator, z, sentence)))

    def finish(self, prepared: Prepared, pixels: Pixels) -> Image.Image:  # noqa: ARG002
        return to_image(pixels)

    def example(self) -> Item:
        return Item(self.known_word, 0)
