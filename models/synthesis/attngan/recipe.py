"""Training AttnGAN as published (paper section 3.1, sums as in its code): one discriminator per
stage, the DAMSM losses on the largest picture, the conditioning's divergence.

A mismatched pair is a picture with its neighbour's sentence, neighbours being those of one process;
the authors' neighbours are those of a batch sorted by length. Word masks are per sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.inception import ImageEncoder
from models.damsm.losses import Caption, encode_captions, matching_losses
from models.damsm.text_encoder import TextEncoder
from models.manipulation.manigan.discriminators import ManiganDiscriminator
from models.manipulation.manigan.losses import adversarial_loss, discriminator_loss, kl_loss
from models.manipulation.manigan.official import draw_noise, init_orthogonal
from models.synthesis.attngan.network import AttnganConfig, AttnganGenerator, AttnganOutput
from models.training.batch import Batch, TrainingData
from models.training.noise import Noise
from models.training.objective import Modules, Objective, Values, adam_step, stack_rows
from models.training.parts import Encoders

_BETAS = (0.5, 0.999)


@dataclass(frozen=True)
class Options:
    """stages: pictures, each half as large as the next; matching: of the DAMSM losses."""

    ngf: int = 32
    ndf: int = 64
    stages: int = 3
    blocks: int = 2
    z: int = 100
    condition: int = 100
    rate: float = 2e-4
    rate_d: float = 2e-4
    matching: float = 5.0


@dataclass(frozen=True)
class StepState:
    """reals: the photos at every stage's size; made: what the generator drew, with its graph."""

    reals: tuple[Tensor, ...]
    made: AttnganOutput
    caption: Caption
    class_ids: Tensor


class AttnganObjective(Objective):
    method = "attngan"
    task_fields = MappingProxyType({"explains": True})
    averaged = ("generator",)
    least_slice = 2

    def __init__(self, options: Options, size: int, text: TextEncoder, image: ImageEncoder) -> None:
        super().__init__()
        self.options, self.text, self.image = options, text, image
        self.frozen = {"text_encoder": text, "image_encoder": image}
        o, features = options, text.config.features
        base = size >> (o.stages - 1)
        self.config = AttnganConfig(o.ngf, base, o.stages, o.blocks, o.z, o.condition, features)
        self.generator = AttnganGenerator(self.config)
        self.judges = {
            f"judge{k}": ManiganDiscriminator(base << k, o.ndf, features) for k in range(o.stages)
        }
        for network in (self.generator, *self.judges.values()):
            init_orthogonal(network)
        self.modules = {"generator": self.generator, **self.judges}
        rates = {**dict.fromkeys(self.judges, o.rate_d), "generator": o.rate}
        self.optimizer_steps = {
            name: adam_step(self.modules, [name], rate, _BETAS) for name, rate in rates.items()
        }

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        caption = encode_captions(self.text, batch.ids, batch.lengths)
        with self.autocast():
            made = self._draw(self.generator, caption, noise)
        sides = (picture.shape[-1] for picture in made.pictures)
        reals = tuple(functional.adaptive_avg_pool2d(batch.images, side) for side in sides)
        return StepState(reals, made, caption, batch.class_ids)

    def _draw(self, generator: nn.Module, caption: Caption, noise: Noise) -> AttnganOutput:
        return generator(*draw_noise(self.config, noise), *caption.parts)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "generator":
            return self._generator_loss(state)
        stage = list(self.judges).index(name)
        real, fake = (self.to_memory_format(x[stage]) for x in (state.reals, state.made.pictures))
        with self.autocast():
            loss = discriminator_loss(self.judges[name], real, fake, state.caption.sentence)
        return loss, {name: loss}

    def _generator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        pictures, sentence = state.made.pictures, state.caption.sentence
        with self.autocast():
            fooled = [
                adversarial_loss(judge, self.to_memory_format(picture), sentence)
                for judge, picture in zip(self.judges.values(), pictures, strict=True)
            ]
            features = self.image(self.to_memory_format(pictures[-1]))
        word, whole = matching_losses(features, state.caption, state.class_ids)
        kl = kl_loss(state.made.mu, state.made.logvar)
        values = {"g": torch.stack(fooled).sum(), "matching": word + whole, "kl": kl}
        return values["g"] + self.options.matching * values["matching"] + kl, values

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: photos, and what is drawn of their captions."""
        caption = encode_captions(self.text, batch.ids, batch.lengths)
        made = self._draw(averaged["generator"], caption, noise)
        return stack_rows(batch.images, made.pictures[-1])


def build(options: Options, data: TrainingData, encoders: Encoders) -> Objective:
    """The objective for a data set and the encoders that it looks through."""
    return AttnganObjective(options, data.size, encoders.text, encoders.image)
