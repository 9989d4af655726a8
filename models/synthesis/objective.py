"""Training Efficient-T2I: hinge losses (section 3.3 of the paper) and what small budgets need.

As published (preset ``official``): the network's own discriminator, fresh noise for the generator's
turn, nothing but the hinge losses, and **sentence interpolation**: a random convex mix of a
picture's captions stands for the sentence, with weights softmax(u), u ~ U(0,10). The published
moving average decays block by block at different rates through a slip; here it decays at one.

For small budgets: a discriminator on frozen ImageNet features, captions that do not fit as a second
kind of fake (Reed et al. 2016), DiffAugment for small data sets, and for the network's own
discriminator lazy R1 (Mescheder et al. 2018) or MA-GP (DF-GAN, Tao et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.losses import matching_loss, sentence_scores
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.synthesis.network import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
)
from models.synthesis.projected import ProjectedConfig, ProjectedDiscriminator
from models.training.augment import CHANGES, augmented
from models.training.batch import Batch
from models.training.distributed import gathered
from models.training.hinge import fooling_loss, judging_loss
from models.training.noise import Noise
from models.training.objective import Objective, Phase, Values, adam

_REACH = 2.0  # tanh(2) = 0.964: colours of the data lie within


@dataclass(frozen=True)
class SynthesisOptions:
    """discriminator: projected or own; ngf, ndf: widths; widths: channels from 4×4 up in units of
    ngf, empty for a table by size; look, text: see :class:`ProjectedConfig`; mismatched: share of
    wrong captions among the fakes; penalty: none, r1 or magp (own discriminator only), with its
    weight, every penalty_every steps; augment: DiffAugment's changes, comma separated; interpolate:
    mix the sentences of a picture; fresh_noise: new noise for the generator's turn; damsm: weight
    of finding the caption again through the frozen encoders, every damsm_every steps; reach: weight
    of keeping the last layer within what tanh can bring back: a discriminator that wins early
    drives whole pictures to one saturated colour, from which no gradient returns.
    """

    discriminator: str = "projected"
    ngf: int = 40
    ndf: int = 96
    widths: str = ""
    z: int = 128
    attention: int = 0
    spectral: bool = False
    look: int = 96
    text: float = 1.0
    rate_g: float = 2e-4
    rate_d: float = 4e-4
    beta2: float = 0.99
    mismatched: float = 0.5
    penalty: str = "none"
    penalty_weight: float = 1.0
    penalty_every: int = 16
    augment: str = ""
    interpolate: bool = False
    fresh_noise: bool = False
    damsm: float = 0.0
    reach: float = 0.0
    damsm_every: int = 2


@dataclass(frozen=True)
class Seen:
    """Real pictures and sentences, wrong sentences, generated pictures before tanh with their
    graph.
    """

    images: Tensor
    sentence: Tensor
    wrong: Tensor
    raw: Tensor
    noise: Noise


class SynthesisObjective(Objective):
    """See :class:`models.training.objective.Objective`."""

    averaged = ("generator",)

    def __init__(
        self,
        options: SynthesisOptions,
        size: int,
        text: TextEncoder,
        image: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.options, self.text, self.image = options, text, image
        self.frozen = {"text_encoder": text}
        if options.damsm and image is not None:
            self.frozen["image_encoder"] = image
        self.changes = tuple(name for name in options.augment.split(",") if name)
        _check(options, self.changes)
        widths, sentence = _widths(size, options.widths), text.config.features
        self.generator = Generator(
            GeneratorConfig(
                options.ngf, widths, options.z, sentence, options.attention, options.spectral
            )
        )
        self.judge = _judge(options, widths, sentence)
        self.modules = {"generator": self.generator, "discriminator": self.judge}
        betas = (0.0, options.beta2)
        self.phases = {
            "discriminator": Phase(adam([self.judge], options.rate_d, betas), ("discriminator",)),
            "generator": Phase(adam([self.generator], options.rate_g, betas), ("generator",)),
        }

    def look(self, batch: Batch, noise: Noise, step: int) -> Seen:  # noqa: ARG002
        with torch.no_grad():
            sentence = self._sentence(batch, noise)
            _, wrong = self.text(batch.wrong_ids, batch.wrong_lengths)
        images = self.laid(batch.images)
        # The discriminator needs no graph; the generator's turn makes pictures of its own then.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.options.fresh_noise):
            raw = self._made(sentence, noise, "z")
        return Seen(images, sentence, wrong, raw, noise)

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

    def _made(self, sentence: Tensor, noise: Noise, name: str) -> Tensor:
        with self.autocast():
            made: Tensor = self.generator.raw(noise.normal(name, self.options.z), sentence)
        return made

    def loss(self, phase: str, seen: Seen, step: int) -> tuple[Tensor, Values]:
        if phase == "discriminator":
            return self._discriminator_loss(seen, step)
        return self._generator_loss(seen, step)

    def _generator_loss(self, seen: Seen, step: int) -> tuple[Tensor, Values]:
        o, raw = self.options, seen.raw
        if o.fresh_noise:
            raw = self._made(seen.sentence, seen.noise, "z2")
        fake = self.laid(torch.tanh(raw))
        with self.autocast():
            shown = self._augmented(fake, seen.noise, "g")
            loss = fooling_loss(self.judge, (shown, seen.sentence))
        values = {"g": loss}
        if o.reach:
            values["beyond"] = functional.relu(raw.abs() - _REACH).square().mean()
            loss = loss + o.reach * values["beyond"]
        if self.image is not None and o.damsm and step % o.damsm_every == 0:
            values["damsm"] = self._matching(self.image, fake, seen)
            loss = loss + o.damsm * values["damsm"]
        return loss, values

    def _matching(self, image: nn.Module, fake: Tensor, seen: Seen) -> Tensor:
        """DAMSM's sentence loss (AttnGAN equation 12), the wrong captions being negatives too."""
        with self.autocast():
            _, code = image(fake)
        captions = torch.cat([gathered(seen.sentence), gathered(seen.wrong)])
        to_captions, to_pictures = matching_loss(sentence_scores(gathered(code.float()), captions))
        return to_captions + to_pictures

    def _augmented(self, images: Tensor, noise: Noise, tag: str) -> Tensor:
        return augmented(images, noise, tag, self.changes)

    def _discriminator_loss(self, seen: Seen, step: int) -> tuple[Tensor, Values]:
        real = self.laid(self._augmented(seen.images, seen.noise, "real"))
        fake = self.laid(self._augmented(torch.tanh(seen.raw.detach()), seen.noise, "fake"))
        told, share = seen.sentence, self.options.mismatched
        with self.autocast():
            loss = judging_loss(self.judge, (real, told), (fake, told), seen.wrong, share)
        values = {"d": loss}
        if self.options.penalty != "none" and step % self.options.penalty_every == 0:
            loss = loss + self._penalty(seen)
        return loss, values

    def _penalty(self, seen: Seen) -> Tensor:
        """Of real matching pairs, in float32: R1 on half of this process's share, or MA-GP with
        exponent six on all of it.
        """
        o = self.options
        count = len(seen.images) // 2 if o.penalty == "r1" else len(seen.images)
        images = seen.images[:count].detach().requires_grad_(True)
        sentence = seen.sentence[:count].detach().requires_grad_(True)
        logits = self.judge.logits(self.judge.features(images), sentence)
        if o.penalty == "r1":
            (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
            size = gradient.square().sum((1, 2, 3)) / 2
        else:
            by = torch.autograd.grad(logits.sum(), (images, sentence), create_graph=True)
            flat = torch.cat([g.flatten(1) for g in by], 1)
            size = 2 * (flat.square().sum(1) + 1e-12).pow(3)
        return o.penalty_weight * o.penalty_every * size.mean()

    def settle(self, averaged: Mapping[str, nn.Module], batch: Batch, noise: Noise) -> None:
        _, sentence = self.text(batch.ids, batch.lengths)
        with self.autocast():
            averaged["generator"](noise.normal("z", self.options.z), sentence)

    def preview(self, batch: Batch, noise: Noise, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows of eight: real pictures above what the generator makes of their captions."""
        _, sentence = self.text(batch.ids, batch.lengths)
        made = averaged["generator"](noise.normal("z", self.options.z), sentence)
        rows = [x for pair in zip(batch.images.split(8), made.split(8), strict=True) for x in pair]
        return torch.cat(rows)

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        return asdict(self.generator.config), {"generator": averaged["generator"]}


def _check(options: SynthesisOptions, changes: tuple[str, ...]) -> None:
    unknown = [name for name in changes if name not in CHANGES]
    if unknown:
        raise ModelsError(f"augment knows {', '.join(CHANGES)}, not {', '.join(unknown)}.")
    if options.penalty not in ("none", "r1", "magp"):
        raise ModelsError(f"penalty is none, r1 or magp, not {options.penalty!r}.")
    if options.penalty != "none" and options.discriminator == "projected":
        raise ModelsError("A gradient penalty needs discriminator = 'own'.")


def _judge(
    options: SynthesisOptions, widths: tuple[int, ...], sentence: int
) -> ProjectedDiscriminator | Discriminator:
    if options.discriminator == "projected":
        return ProjectedDiscriminator(
            ProjectedConfig(
                look=options.look, width=options.ndf, text=options.text, sentence=sentence
            )
        )
    if options.discriminator == "own":
        return Discriminator(
            DiscriminatorConfig(options.ndf, widths[::-1], sentence, options.attention)
        )
    raise ModelsError(f"discriminator is projected or own, not {options.discriminator!r}.")


def _widths(size: int, given: str) -> tuple[int, ...]:
    """Channel multipliers from 4×4 up."""
    if given:
        return tuple(int(part) for part in given.split(","))
    table = {32: (4, 4, 2, 1), 64: (4, 4, 4, 2, 1), 128: (4, 4, 4, 4, 2, 1)}
    if size not in table:
        raise ModelsError(
            f"There are no default widths for {size} pixels, only for {sorted(table)}; set widths."
        )
    return table[size]
