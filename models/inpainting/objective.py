"""Training TDANet for small budgets.

Two paths as in the paper (section 3.4): reconstruction (posterior latent, sees the hidden region)
and generation (prior latent, as at test time), here each with the word context of its own side (see
:mod:`models.inpainting.losses`). Losses: L1 pyramid in which the hole weighs more, KL of posterior
and prior, least squares GAN on the composed picture of the generation path.

By options: a discriminator on frozen ImageNet features that looks at the sentence too, with hinge
losses and wrong captions as a second kind of fake; the DAMSM losses of the composed picture; the
attributes that the caption names, as a classifier reads them that learns beside from the real
pictures (see :mod:`models.synthesis.auxiliary`); no text at all, for comparison. For the published
training see :mod:`models.inpainting.official`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.matching import Caption, encoded, matching_losses
from models.damsm.text_encoder import TextEncoder
from models.errors import ModelsError
from models.inpainting.losses import fooling_loss as least_squares
from models.inpainting.losses import kl_losses
from models.inpainting.network import (
    CriticConfig,
    InpaintConfig,
    InpaintCritic,
    InpaintEncoder,
    InpaintGenerator,
    compose,
)
from models.inpainting.paths import PathsObjective
from models.synthesis.auxiliary import classifier_of, learning_loss, showing_loss
from models.synthesis.projected import ProjectedConfig, ProjectedDiscriminator
from models.training.augment import CHANGES, augmented
from models.training.batch import Batch
from models.training.hinge import fooling_loss, judging_loss
from models.training.noise import Noise
from models.training.objective import Phase, Values, adam


@dataclass(frozen=True)
class InpaintingOptions:
    """Widths, rates and loss weights. hole: extra weight of L1 inside the hole; text: False trains
    without words and sentence; convolution: see :class:`InpaintConfig`; damsm: weight of the word
    and sentence losses; attributes: weight of showing what the caption names, rate_classifier of
    the network that reads it; discriminator: own or projected, which alone has ndf, look,
    mismatched (share of wrong captions among its fakes) and augment (DiffAugment's changes, comma
    separated).
    """

    width: int = 24
    z: int = 64
    refine: int = 2
    spectral: bool = False
    rate: float = 4e-4
    rate_d: float = 4e-4
    kl: float = 0.5
    l1: float = 10.0
    hole: float = 4.0
    adversarial: float = 0.2
    text: bool = True
    convolution: str = "plain"
    damsm: float = 0.0
    attributes: float = 0.0
    rate_classifier: float = 2e-3
    discriminator: str = "own"
    ndf: int = 96
    look: int = 96
    mismatched: float = 0.5
    augment: str = ""


def small_config(size: int, options: InpaintingOptions, text: int) -> InpaintConfig:
    """Latents of 8×8 and one picture per doubling, whatever the size."""
    w = options.width
    table: dict[int, tuple[tuple[int, ...], tuple[int, ...], int]] = {
        32: ((2 * w, 4 * w), (3 * w, 2 * w), 0),
        64: ((w, 3 * w, 5 * w), (4 * w, 3 * w, 2 * w), 1),
        128: ((w, 2 * w, 4 * w, 5 * w), (5 * w, 4 * w, 2 * w, w), 2),
    }
    if size not in table:
        raise ModelsError(
            f"There is no small configuration for {size} pixels, only for {sorted(table)}."
        )
    encoder, decoder, feature = table[size]
    # The attention block needs as many channels in the decoder as in the encoder's feature.
    decoder = (encoder[feature], *decoder[1:])
    return InpaintConfig(
        encoder=encoder,
        feature=feature,
        decoder=decoder,
        outputs=len(decoder),
        z=options.z,
        text=text,
        refine=options.refine,
        spectral=options.spectral,
        text_attention=options.text,
        convolution=options.convolution,
    )


@dataclass(frozen=True)
class Seen:
    """Pictures [B,3,S,S] and masks [B,1,S,S]; pictures of both paths from small to large,
    [2B,3,s,s] each; the KL term; the generation path's composed picture, with its graph; a wrong
    sentence [B,D] for each picture where the discriminator looks at sentences; attributes that the
    pictures show and that the captions name, int64 [B,A], where the data knows them.
    """

    images: Tensor
    mask: Tensor
    pictures: list[Tensor]
    kl: Tensor
    composed: Tensor
    caption: Caption
    wrong: Tensor | None
    class_ids: Tensor
    noise: Noise
    shown: Tensor | None
    named: Tensor | None


class InpaintingObjective(PathsObjective):
    """See :class:`models.training.objective.Objective`."""

    def __init__(
        self,
        options: InpaintingOptions,
        size: int,
        text: TextEncoder,
        image: nn.Module | None = None,
        attributes: tuple[int, int] = (0, 0),
    ) -> None:
        config = small_config(size, options, text.config.features)
        super().__init__(InpaintEncoder(config), InpaintGenerator(config), size, text)
        self.options, self.image = options, image
        if options.damsm and image is None:
            raise ModelsError("The DAMSM losses need the image encoder of a bundle.")
        if options.damsm and image is not None:
            self.frozen["image_encoder"] = image
        self.changes = tuple(name for name in options.augment.split(",") if name)
        self.critic = _critic(options, self.changes, text.config.features)
        self.modules["critic"] = self.critic
        made = adam([self.encoder, self.generator], options.rate, (0.5, 0.99))
        judged = adam([self.critic], options.rate_d, (0.0, 0.99))
        self.phases = {}
        if options.attributes:
            self.classifier = classifier_of(size, attributes)
            self.modules["classifier"] = self.classifier
            learning = adam([self.classifier], options.rate_classifier, (0.9, 0.999))
            self.phases["classifier"] = Phase(learning, ("classifier",))
        self.phases["critic"] = Phase(judged, ("critic",))
        self.phases["generator"] = Phase(made, ("encoder", "generator"))

    def look(self, batch: Batch, noise: Noise, step: int) -> Seen:  # noqa: ARG002
        assert batch.hole is not None  # noqa: S101 (the data set's duty)
        images, mask = self.laid(batch.images), batch.hole
        caption = encoded(self.text, batch.ids, batch.lengths)
        with self.autocast():
            paths = self.paths(images, mask, caption, noise)
        kl_rec, kl_g = kl_losses(paths)
        pictures = [torch.cat(pair) for pair in zip(paths.rec, paths.gen, strict=True)]
        composed = compose(paths.gen[-1], images, mask)
        wrong = None
        if isinstance(self.critic, ProjectedDiscriminator):
            wrong = encoded(self.text, batch.wrong_ids, batch.wrong_lengths).sentence
        return Seen(
            images,
            mask,
            pictures,
            kl_rec + kl_g,
            composed,
            caption,
            wrong,
            batch.class_ids,
            noise,
            batch.shown,
            batch.named,
        )

    def loss(self, phase: str, seen: Seen, step: int) -> tuple[Tensor, Values]:  # noqa: ARG002
        if phase == "classifier":
            return self._classifier_loss(seen)
        if phase == "critic":
            return self._critic_loss(seen, seen.composed.detach())
        return self._generator_loss(seen)

    def _classifier_loss(self, seen: Seen) -> tuple[Tensor, Values]:
        assert seen.shown is not None  # noqa: S101 (checked with the options)
        with self.autocast():
            loss, right = learning_loss(self.classifier, seen.images, seen.shown)
        return loss, {"shown": right}

    def _generator_loss(self, seen: Seen) -> tuple[Tensor, Values]:
        o = self.options
        with self.autocast():
            adversarial = self._fooling(seen)
        l1 = self._pyramid_l1(seen.pictures, seen.images, seen.mask)
        loss = o.l1 * l1 + o.kl * seen.kl + o.adversarial * adversarial
        values = {"l1": l1, "kl": seen.kl, "g": adversarial}
        if o.damsm:
            values["damsm"] = self._matching(seen)
            loss = loss + o.damsm * values["damsm"]
        if o.attributes:
            assert seen.named is not None  # noqa: S101 (checked with the options)
            with self.autocast():
                made = self.laid(seen.composed)
                values["reading"], named = showing_loss(self.classifier, made, seen.named)
            loss, values["named"] = loss + o.attributes * values["reading"], named
        return loss, values

    def _fooling(self, seen: Seen) -> Tensor:
        if not isinstance(self.critic, ProjectedDiscriminator):
            return least_squares(self.critic, seen.composed)
        shown = self.laid(augmented(seen.composed, seen.noise, "g", self.changes))
        return fooling_loss(self.critic, (shown, self._told(seen.caption.sentence)))

    def _told(self, sentence: Tensor) -> Tensor:
        """What the discriminator hears of a sentence."""
        return sentence if self.options.text else torch.zeros_like(sentence)

    def _matching(self, seen: Seen) -> Tensor:
        """Word and sentence loss of the composed picture."""
        assert self.image is not None  # noqa: S101 (checked at the start)
        with self.autocast():
            features = self.image(self.laid(seen.composed))
        return torch.stack(matching_losses(features, seen.caption, seen.class_ids)).sum()

    def _pyramid_l1(self, pictures: list[Tensor], images: Tensor, mask: Tensor) -> Tensor:
        """L1 at every scale, the hole weighing more."""
        total = images.new_zeros(())
        for picture in pictures:
            size = (picture.shape[-2], picture.shape[-1])
            target = functional.interpolate(images, size, mode="bilinear", align_corners=True)
            weight = 1 + self.options.hole * (1 - functional.adaptive_avg_pool2d(mask, size))
            weight = weight / weight.mean((1, 2, 3), keepdim=True)
            difference = (picture - target.repeat(2, 1, 1, 1)).abs()
            total = total + (weight.repeat(2, 1, 1, 1) * difference).mean()
        return total

    def _critic_loss(self, seen: Seen, made: Tensor) -> tuple[Tensor, Values]:
        if isinstance(self.critic, ProjectedDiscriminator):
            return self._judging(self.critic, seen, made)
        with self.autocast():
            scores = self.critic(torch.cat([seen.images, made]))
        good, bad = scores.chunk(2)
        loss = 0.5 * ((good - 1).square().mean() + bad.square().mean())
        return loss, {"d": loss}

    def _judging(
        self, critic: ProjectedDiscriminator, seen: Seen, made: Tensor
    ) -> tuple[Tensor, Values]:
        assert seen.wrong is not None  # noqa: S101 (encoded for this discriminator)
        real = self.laid(augmented(seen.images, seen.noise, "real", self.changes))
        fake = self.laid(augmented(made, seen.noise, "fake", self.changes))
        told, wrong = self._told(seen.caption.sentence), self._told(seen.wrong)
        share = self.options.mismatched if self.options.text else 0.0
        with self.autocast():
            loss = judging_loss(critic, (real, told), (fake, told), wrong, share)
        return loss, {"d": loss}


def _critic(
    options: InpaintingOptions, changes: tuple[str, ...], sentence: int
) -> InpaintCritic | ProjectedDiscriminator:
    if unknown := [name for name in changes if name not in CHANGES]:
        raise ModelsError(f"augment knows {', '.join(CHANGES)}, not {', '.join(unknown)}.")
    if options.discriminator == "own":
        return InpaintCritic(CriticConfig((32, 64, 128), 2))
    if options.discriminator == "projected":
        return ProjectedDiscriminator(
            ProjectedConfig(look=options.look, width=options.ndf, sentence=sentence)
        )
    raise ModelsError(f"discriminator is projected or own, not {options.discriminator!r}.")
