"""Training Efficient-T2I: hinge losses (section 3.3 of the paper) and what small budgets need on
top.

On top of the paper: captions that do not fit are a second kind of fake (Reed et al. 2016), lazy R1
(Mescheder et al.
2018), and a DAMSM loss on the generator (AttnGAN equations 11–13) through the frozen encoders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.losses import damsm_losses
from models.damsm.text_encoder import TextEncoder
from models.synthesis.network import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
)
from models.training.batch import Batch


@dataclass(frozen=True)
class SynthesisOptions:
    """Widths and rates. r1: weight of the gradient penalty, applied every r1_every steps; damsm:
    weight of the DAMSM
    loss, applied every damsm_every steps; mismatched: weight of the real picture with a wrong
    caption."""

    ngf: int = 40
    ndf: int = 32
    z: int = 128
    attention: int = 0
    spectral: bool = False
    rate_g: float = 2e-4
    rate_d: float = 4e-4
    mismatched: float = 0.5
    r1: float = 1.0
    r1_every: int = 16
    damsm: float = 1.0
    damsm_every: int = 2
    interpolate: bool = False


class SynthesisObjective:
    """See :class:`models.training.objective.Objective`."""

    averaged: tuple[str, ...] = ("generator",)

    def __init__(
        self, options: SynthesisOptions, size: int, text: TextEncoder, image: CompactImageEncoder
    ) -> None:
        self.options, self.text, self.image = options, text, image
        widths = _widths(size)
        sentence = text.config.features
        self.generator = Generator(
            GeneratorConfig(
                options.ngf, widths, options.z, sentence, options.attention, options.spectral
            )
        )
        self.discriminator = Discriminator(
            DiscriminatorConfig(options.ndf, widths[::-1], sentence, options.attention)
        )
        self.modules: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
        }
        betas = (0.0, 0.99)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(self.generator.parameters(), options.rate_g, betas),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), options.rate_d, betas
            ),
        }

    def step(self, batch: Batch, step: int, noise: torch.Generator) -> dict[str, float]:
        words, sentence = self.text(batch.ids, batch.lengths)
        _, wrong = self.text(batch.wrong_ids, batch.wrong_lengths)
        with torch.autocast(sentence.device.type, torch.bfloat16):
            fake = self.generator(self._noise(len(sentence), noise, sentence), sentence)
        values = self._discriminator_step(batch.images, fake.detach(), sentence, wrong, step)
        return values | self._generator_step(fake, batch, words, sentence, step)

    def _noise(self, count: int, noise: torch.Generator, like: Tensor) -> Tensor:
        return torch.randn(count, self.options.z, generator=noise).to(like.device)

    def _discriminator_step(
        self, images: Tensor, fake: Tensor, sentence: Tensor, wrong: Tensor, step: int
    ) -> dict[str, float]:
        disc, optimiser = self.discriminator, self.optimisers["discriminator"]
        disc.requires_grad_(True)
        with torch.autocast(images.device.type, torch.bfloat16):
            features = disc.features(_layout(torch.cat([images, fake])))
        real, made = features.chunk(2)
        loss = functional.relu(1 - disc.logits(real, sentence)).mean()
        share = self.options.mismatched
        loss = loss + (1 - share) * functional.relu(1 + disc.logits(made, sentence)).mean()
        loss = loss + share * functional.relu(1 + disc.logits(real, wrong)).mean()
        total = loss
        if self.options.r1 and step % self.options.r1_every == 0:
            total = loss + self._penalty(images, sentence)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        return {"d": float(loss.detach())}

    def _penalty(self, images: Tensor, sentence: Tensor) -> Tensor:
        """Lazy R1 on half of the batch, in float32."""
        half = images[: len(images) // 2].detach().requires_grad_(True)
        logits = self.discriminator(half, sentence[: len(half)])
        (gradient,) = torch.autograd.grad(logits.sum(), half, create_graph=True)
        scale = self.options.r1 * self.options.r1_every / 2
        return scale * gradient.square().sum((1, 2, 3)).mean()

    def _generator_step(
        self, fake: Tensor, batch: Batch, words: Tensor, sentence: Tensor, step: int
    ) -> dict[str, float]:
        optimiser = self.optimisers["generator"]
        self.discriminator.requires_grad_(False)
        with torch.autocast(sentence.device.type, torch.bfloat16):
            features = self.discriminator.features(_layout(fake))
        adversarial = -self.discriminator.logits(features, sentence).mean()
        loss, values = adversarial, {"g": float(adversarial.detach())}
        if self.options.damsm and step % self.options.damsm_every == 0:
            matching = self._damsm(fake, words, sentence, batch)
            loss = loss + self.options.damsm * matching
            values["damsm"] = float(matching.detach())

        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return values

    def _damsm(self, fake: Tensor, words: Tensor, sentence: Tensor, batch: Batch) -> Tensor:
        with torch.autocast(fake.device.type, torch.bfloat16):
            regions, code = self.image(_layout(fake))
        photo, caption = (regions, code.float()), (words, sentence, batch.lengths)
        word, whole = damsm_losses(photo, caption, batch.class_ids)
        return word + whole

    @torch.no_grad()
    def settle(self, averaged: Mapping[str, nn.Module], batches: Iterable[Batch]) -> None:
        """Re-estimate the batch statistics of the averaged generator (standing statistics,
        BigGAN).
        """
        generator = averaged["generator"]
        norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for batch in batches:
            _, sentence = self.text(batch.ids, batch.lengths)
            z = torch.randn(len(sentence), self.options.z).to(sentence.device)
            generator(z, sentence)
        for norm in norms:
            norm.momentum = 0.1
            norm.eval()

    @torch.no_grad()
    def preview(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows of eight: real pictures above what the generator makes of their captions."""
        _, sentence = self.text(batch.ids, batch.lengths)
        z = torch.randn(len(sentence), self.options.z).to(sentence.device)
        made = averaged["generator"](z, sentence)
        rows = [x for pair in zip(batch.images.split(8), made.split(8), strict=True) for x in pair]
        return torch.cat(rows)

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        return asdict(self.generator.config), {"generator": averaged["generator"]}


def _layout(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _widths(size: int) -> tuple[int, ...]:
    """Channel multipliers for small pictures, from 4×4 up."""
    table = {32: (4, 4, 2, 1), 64: (4, 4, 4, 2, 1), 128: (4, 4, 4, 4, 2, 1)}
    if size not in table:
        raise ValueError(f"no small configuration for {size} pixels; there are {sorted(table)}")
    return table[size]
