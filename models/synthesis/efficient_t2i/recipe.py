"""Training Efficient-T2I: hinge losses (section 3.3 of the paper) and what small budgets need.

As published (preset ``official``): the network's own discriminator, fresh noise for the generator's
turn, nothing but the hinge losses, and **sentence interpolation**: a random convex mix of a
picture's captions stands for the sentence, with weights softmax(u), u ~ U(0,10). The published
moving average decays block by block at different rates through a slip; here it decays at one.

For small budgets: a discriminator on frozen ImageNet features, captions that do not fit as a second
kind of fake (Reed et al. 2016), DiffAugment for small data sets, real pictures drawn again from an
encoder's noise (:mod:`models.training.auxiliary_networks`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.losses import contrastive_loss, sentence_scores
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.synthesis.efficient_t2i.latent import width as latent_width
from models.synthesis.efficient_t2i.network import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
)
from models.training.augment import augment, parse_changes
from models.training.auxiliary_networks import NoiseEncoder, kl_divergence, reconstruction_loss
from models.training.batch import Batch
from models.training.distributed import gather
from models.training.losses import discriminator_loss, generator_loss
from models.training.noise import Noise
from models.training.objective import (
    Modules,
    Objective,
    Values,
    adam_step,
    stack_rows,
    weighted_sum,
)
from models.training.projected_discriminator import ProjectedDiscriminator, build_projected

_GENERATOR_MODULES = ("generator", "encoder")  # what the generator's turn trains
_SATURATION = 2.0  # tanh(2) = 0.964: colours of the data lie within


@dataclass(frozen=True)
class SynthesisOptions:
    """discriminator: projected or own; ngf, ndf: widths; widths: channels from 4×4 up in units of
    ngf, empty for a table by size; zero_start: every block of the generator begins as its shortcut;
    discriminator_size, taps, text: see
    :class:`models.training.projected_discriminator.ProjectedConfig`; mismatched: share of wrong
    captions among the fakes; augment: DiffAugment's changes, comma separated; interpolate: mix the
    sentences of a picture; fresh_noise: new noise for the generator's turn; damsm: weight of
    finding the caption again through the frozen encoders, every damsm_every steps;
    saturation_weight: of keeping the last layer within what tanh can bring back: a discriminator
    that wins early drives whole pictures to one saturated colour, from which no gradient returns.

    reconstruction_weight: of drawing real pictures again from the noise that an encoder finds
    behind them, kl_weight: of a nat of that noise; warmup_steps: steps in which the generator does
    nothing else, before the discriminator comes in; reconstruction_until: step at which the weight
    of drawing again has fallen to zero, along a line, 0 to keep it. See
    :mod:`models.training.auxiliary_networks`.

    latent: shapes of the noise instead of z normals (:mod:`models.synthesis.efficient_t2i.latent`).
    """

    discriminator: str = "projected"
    ngf: int = 40
    ndf: int = 96
    widths: str = ""
    z: int = 128
    attention: int = 0
    spectral: bool = False
    zero_start: bool = False
    discriminator_size: int = 96
    taps: str = "0,2,4,10"
    text: float = 1.0
    rate_g: float = 2e-4
    rate_d: float = 4e-4
    beta1: float = 0.0
    beta2: float = 0.99
    mismatched: float = 0.5
    augment: str = ""
    interpolate: bool = False
    fresh_noise: bool = False
    damsm: float = 0.0
    saturation_weight: float = 0.0
    damsm_every: int = 2
    reconstruction_weight: float = 0.0
    kl_weight: float = 5e-4
    warmup_steps: int = 0
    reconstruction_until: int = 0
    latent: str = ""


@dataclass(frozen=True)
class StepState:
    """Real pictures and sentences, wrong sentences, generated pictures before tanh with their
    graph (none while the generator only reconstructs).
    """

    images: Tensor
    sentence: Tensor
    negative_sentence: Tensor
    raw: Tensor | None
    noise: Noise


class GeneratorObjective(Objective):
    """What every way of training the generator shares."""

    averaged = ("generator",)
    generator: Generator
    text: TextEncoder

    def recalibrate_batch_norm(self, averaged: Modules, batch: Batch, noise: Noise) -> None:
        self._generate_averaged(averaged, batch, noise, self.autocast())

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: real pictures above what the generator makes of their captions."""
        return stack_rows(
            batch.images, self._generate_averaged(averaged, batch, noise, nullcontext())
        )

    def _generate_averaged(
        self, averaged: Modules, batch: Batch, noise: Noise, precision: AbstractContextManager[Any]
    ) -> Tensor:
        _, sentence = self.text(batch.ids, batch.lengths)
        with precision:
            z = noise.normal("z", self.generator.config.z)
            return torch.as_tensor(averaged["generator"](z, sentence))


class SynthesisObjective(GeneratorObjective):
    def __init__(
        self,
        options: SynthesisOptions,
        size: int,
        text: TextEncoder,
        image: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.options, self.text = options, text
        self.frozen = {"text_encoder": text}
        if options.damsm and image is not None:
            self.frozen["image_encoder"] = image
        self.changes = parse_changes(options.augment)
        if options.warmup_steps and not options.reconstruction_weight:
            raise ModelsError("warmup_steps only reconstruct; they need reconstruction_weight > 0.")
        if options.reconstruction_until and options.reconstruction_until <= options.warmup_steps:
            raise ModelsError("reconstruction_until must lie behind warmup_steps.")
        widths, sentence = block_widths(size, options.widths), text.config.features
        self.z = latent_width(options.latent) if options.latent else options.z
        o, attention = options, options.attention
        self.config = GeneratorConfig(
            o.ngf, widths, self.z, sentence, attention, o.spectral, o.latent
        )
        self.generator = Generator(self.config)
        if options.zero_start:
            zero_init_residuals(self.generator)
        self.discriminator = _build_discriminator(options, widths, sentence)
        self.modules = {"generator": self.generator, "discriminator": self.discriminator}
        if options.reconstruction_weight:
            self.encoder = NoiseEncoder(size, self.z, sentence)
            self.modules["encoder"] = self.encoder
        drawing = [name for name in _GENERATOR_MODULES if name in self.modules]
        betas = options.beta1, options.beta2
        self.optimizer_steps = {
            "discriminator": adam_step(self.modules, ["discriminator"], options.rate_d, betas),
            "generator": adam_step(self.modules, drawing, options.rate_g, betas),
        }

    def active_steps(self, step: int) -> tuple[str, ...]:
        return tuple(self.optimizer_steps) if step >= self.options.warmup_steps else ("generator",)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        with torch.no_grad():
            sentence = self._sentence(batch, noise)
            _, wrong = self.text(batch.negative_ids, batch.negative_lengths)
        images = self.to_memory_format(batch.images)
        raw = None
        if step >= self.options.warmup_steps:
            # With fresh noise the generator's turn makes pictures of its own.
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.options.fresh_noise):
                raw = self._generate(sentence, noise, "z")
        return StepState(images, sentence, wrong, raw, noise)

    def _sentence(self, batch: Batch, noise: Noise) -> Tensor:
        """The caption's sentence, or a convex mix over all captions of the picture."""
        _, own = self.text(batch.ids, batch.lengths)
        if not self.options.interpolate or batch.more_ids is None or batch.more_lengths is None:
            return torch.as_tensor(own)
        b, k, length = batch.more_ids.shape
        _, more = self.text(batch.more_ids.view(b * k, length), batch.more_lengths.flatten())
        sentences = torch.cat([own[:, None], more.view(b, k, -1)], 1)
        weights = (10 * noise.uniform("mix", k + 1)).softmax(1)
        return (weights[:, :, None] * sentences).sum(1)

    def _generate(self, sentence: Tensor, noise: Noise, name: str) -> Tensor:
        with self.autocast():
            made: Tensor = self.generator.raw(noise.normal(name, self.z), sentence)
        return made

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "discriminator":
            return self._discriminator_loss(state)
        return self._generator_loss(state, step)

    def _generator_loss(self, state: StepState, step: int) -> tuple[Tensor, Values]:
        o, values = self.options, {}
        raw = state.raw
        reconstruction = self._reconstruction_weight(step)
        if reconstruction:
            again, values["nats"] = self._reconstruct(state)
            values["rebuilt"] = reconstruction_loss(torch.tanh(again), state.images)
            raw = again if step < o.warmup_steps else raw
        if o.fresh_noise and step >= o.warmup_steps:
            raw = self._generate(state.sentence, state.noise, "z2")
        assert raw is not None  # noqa: S101 (warmup_steps need reconstruction)
        fake = self.to_memory_format(torch.tanh(raw))
        if step >= o.warmup_steps:
            values["g"] = self._adversarial_loss(fake, state)
        if o.saturation_weight:
            values["beyond"] = functional.relu(raw.abs() - _SATURATION).square().mean()
        if "image_encoder" in self.frozen and (step + 1) % o.damsm_every == 0:  # logged steps too
            values["damsm"] = self._damsm_loss(fake, state)
        weights = {"beyond": o.saturation_weight, "damsm": o.damsm}
        weights |= {"rebuilt": reconstruction, "nats": reconstruction * o.kl_weight}
        return weighted_sum(values, weights), values

    def _reconstruction_weight(self, step: int) -> float:
        o = self.options
        return o.reconstruction_weight * (
            max(0.0, 1 - step / o.reconstruction_until) if o.reconstruction_until else 1.0
        )

    def _adversarial_loss(self, fake: Tensor, state: StepState) -> Tensor:
        with self.autocast():
            pictures = augment(fake, state.noise, "g", self.changes)
            return generator_loss(self.discriminator, (pictures, state.sentence))

    def _reconstruct(self, state: StepState) -> tuple[Tensor, Tensor]:
        """Real pictures drawn again from the noise found behind them, before tanh, and how far
        that noise is from N(0,1), in nats.
        """
        with self.autocast():
            mean, spread = self.encoder(state.images, state.sentence)
            z = mean + (spread / 2).exp() * state.noise.normal("behind", self.z)
            raw: Tensor = self.generator.raw(z, state.sentence)
        return raw, kl_divergence(mean, spread)

    def _damsm_loss(self, fake: Tensor, state: StepState) -> Tensor:
        """DAMSM's sentence loss (AttnGAN equation 12), the wrong captions being negatives too."""
        with self.autocast():
            _, code = self.frozen["image_encoder"](fake)
        captions = torch.cat([gather(state.sentence), gather(state.negative_sentence)])
        to_captions, to_pictures = contrastive_loss(sentence_scores(gather(code.float()), captions))
        return to_captions + to_pictures

    def _discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        assert state.raw is not None  # noqa: S101 (no turn while the generator only reconstructs)
        pictures = {"real": state.images, "fake": torch.tanh(state.raw.detach())}
        real, fake = (
            (self.to_memory_format(augment(x, state.noise, tag, self.changes)), state.sentence)
            for tag, x in pictures.items()
        )
        negative, share = state.negative_sentence, self.options.mismatched
        with self.autocast():
            loss = discriminator_loss(self.discriminator, real, fake, negative, share)
        return loss, {"d": loss}


def zero_init_residuals(generator: Generator) -> None:
    """Let every block begin as its shortcut (Goyal et al. 2017)."""
    for name, module in generator.named_modules():
        if name.endswith("conv4") and isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)


def _build_discriminator(
    options: SynthesisOptions, widths: tuple[int, ...], sentence: int
) -> ProjectedDiscriminator | Discriminator:
    if options.discriminator == "projected":
        return build_projected(options, sentence)
    if options.discriminator == "own":
        return Discriminator(
            DiscriminatorConfig(options.ndf, widths[::-1], sentence, options.attention)
        )
    raise ModelsError(f"discriminator is projected or own, not {options.discriminator!r}.")


def block_widths(size: int, given: str) -> tuple[int, ...]:
    """Channel multipliers from 4×4 up."""
    if given:
        widths = tuple(int(part) for part in given.split(","))
        if 4 * 2 ** (len(widths) - 1) != size:
            raise ModelsError(
                f"{len(widths)} widths make pictures of {4 * 2 ** (len(widths) - 1)} pixels, not "
                f"{size}; set widths to {size.bit_length() - 2} numbers, or to '' for the table's."
            )
        return widths
    table = {32: (4, 4, 2, 1), 64: (4, 4, 4, 2, 1), 128: (4, 4, 4, 4, 2, 1)}
    if size not in table:
        raise ModelsError(
            f"There are no default widths for {size} pixels, only for {sorted(table)}; set widths."
        )
    return table[size]
