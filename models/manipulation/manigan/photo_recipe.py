"""Training ManiGAN on photos with a small budget: no paired pictures, no days of GPU time.

Where this departs from the paper (sections 3.4 and 3.5): both modules learn together from the final
picture, against one discriminator on frozen ImageNet features. The caption given with a photo is
that of **another** class for half of the batch (the published training only ever gives the right
one), so that edits themselves are rehearsed: such a picture has to fool the discriminator together
with the new caption and to match it through the frozen encoders, while it keeps the photo's coarse
brightness and, weakly, its pixels. With its own caption a photo has to come back as it was. The
reward of change (−L1) has no place beside that.

Brightness that is kept everywhere keeps a white bird from ever becoming black, and pixels that are
kept weakly everywhere let its colour glow into the background. So by options the bird's shading is
kept in its place, brightness against that of the bird around, and the pixels outside of it firmly,
the bird being what is unlike the photo's border (:mod:`models.manipulation.manigan.saliency`). What
glows all the same, a bundle's ``background`` takes back when it is served; no loss sees that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from models.damsm.image_encoder import PhotoFeatures
from models.damsm.losses import Caption, encode_captions, matching_losses
from models.damsm.text_encoder import TextEncoder
from models.manipulation.manigan.losses import kl_loss
from models.manipulation.manigan.network import edit, networks
from models.manipulation.manigan.official import draw_noise, manigan_config
from models.manipulation.manigan.photo_encoder import PhotoEncoder, bundle_modules, frozen_modules
from models.manipulation.manigan.saliency import foreground_saliency
from models.training.augment import augment, parse_changes
from models.training.batch import Batch
from models.training.losses import discriminator_loss, generator_loss
from models.training.noise import Noise
from models.training.objective import (
    Exported,
    Modules,
    Objective,
    Values,
    adam_step,
    stack_rows,
    weighted_sum,
)
from models.training.projected_discriminator import build_projected

_COARSE = 4  # pixels whose brightness an edit keeps together
_AROUND = 5  # side, in these, of what brightness is taken against
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_CLIP = 5.0


@dataclass(frozen=True)
class PhotoOptions:
    """Widths, the paper's ablations (combination, modules) and background: see
    :class:`ManiganConfig`; rates and loss weights. edited: share of photos that get another class's
    caption; mismatched: share of wrong captions among the discriminator's fakes; ndf,
    discriminator_size, taps, text: see :class:`ProjectedConfig`; augment: DiffAugment's changes,
    comma separated; warmup_steps: steps in which photos are only brought back with their own
    captions, before anything judges them.

    Weights: matching: of the DAMSM losses; reconstruction: L1 of photos with their own caption, and
    stages: of the main module's pictures beside the final one; perceptual: their early features;
    identity: L1 of an edit's coarse brightness; shading: of it within the thing; keep: of
    its pixels; outside: of those outside of the thing; kl: of the conditioning.
    """

    discriminator: str = "projected"
    ngf: int = 24
    blocks: int = 1
    combine: int = 32
    z: int = 32
    condition: int = 64
    norm: str = "layer"
    combination: str = "affine"
    modules: str = "both"
    background: float = 1.0
    ndf: int = 128
    discriminator_size: int = 96
    taps: str = "0,2,4,10"
    text: float = 1.0
    rate: float = 2e-4
    rate_d: float = 4e-4
    beta2: float = 0.99
    edited: float = 0.5
    mismatched: float = 0.5
    augment: str = ""
    warmup_steps: int = 0
    matching: float = 0.5
    reconstruction: float = 10.0
    stages: float = 0.25
    perceptual: float = 0.5
    identity: float = 4.0
    shading: float = 0.0
    keep: float = 1.0
    outside: float = 0.0
    kl: float = 0.02


@dataclass(frozen=True)
class StepState:
    """edits: float32 [B], 1 where ``given`` is another class's caption; own, wrong: sentences
    [B,D]; final and pictures with their graph; background: float32 [B,1,S,S], 1 outside of the
    thing.
    """

    photos: Tensor
    edits: Tensor
    given: Caption
    own_sentence: Tensor
    negative_sentence: Tensor
    final: Tensor
    pictures: tuple[Tensor, ...]
    background: Tensor
    kl: Tensor
    class_ids: Tensor
    noise: Noise


class PhotoObjective(Objective):
    def __init__(
        self, options: PhotoOptions, size: int, text: TextEncoder, encoders: PhotoEncoder
    ) -> None:
        super().__init__()
        self.options, self.text, self.encoders = options, text, encoders
        self.changes = parse_changes(options.augment)
        self.frozen = frozen_modules(text, encoders)
        self.config = manigan_config(options, size, text, encoders)
        self.averaged = self.config.roles
        self.discriminator = build_projected(options, text.config.features)
        self.modules = {**networks(self.config), "judge": self.discriminator}
        betas = (0.0, options.beta2)
        self.optimizer_steps = {
            "judge": adam_step(self.modules, ["judge"], options.rate_d, betas),
            "edit": adam_step(self.modules, self.averaged, options.rate, betas, _CLIP),
        }

    def active_steps(self, step: int) -> tuple[str, ...]:
        return tuple(self.optimizer_steps) if step >= self.options.warmup_steps else ("edit",)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        own = encode_captions(self.text, batch.ids, batch.lengths)
        wrong = encode_captions(self.text, batch.negative_ids, batch.negative_lengths)
        edited = self.options.edited if step >= self.options.warmup_steps else 0.0
        edits = noise.uniform("edited") < edited
        given = _select_captions(edits, wrong, own)
        photos = self.to_memory_format(batch.images)
        with self.autocast():
            photo = self.encoders.photo(photos)
            final, pictures, kl = self._edit(self.modules, photo, given, noise)
        return StepState(
            photos,
            edits.float(),
            given,
            own.sentence,
            wrong.sentence,
            final,
            pictures,
            1 - foreground_saliency(photo.regions, photos.shape[-1]),
            kl,
            batch.class_ids,
            noise,
        )

    def _edit(
        self, modules: Modules, photo: PhotoFeatures, given: Caption, noise: Noise
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Final pictures, the main module's, and the conditioning's KL; without a main module there
        are none of these.
        """
        final, _, main = edit(modules, *draw_noise(self.config, noise), *given.parts, photo)
        if main is None:
            return final, (), final.new_zeros(())
        return final, main.pictures, kl_loss(main.mu, main.logvar)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "judge":
            return self._discriminator_loss(state)
        o, final = self.options, state.final
        with self.autocast():
            features = self.encoders.image(self.to_memory_format(final))
            perceptual = self._perceptual_loss(state)
        matching = torch.stack(matching_losses(features, state.given, state.class_ids)).sum()
        values = {"matching": matching, "perceptual": perceptual, "kl": state.kl}
        values |= self._distances(state)
        weights = {"matching": o.matching, "perceptual": o.perceptual, "kl": o.kl}
        weights |= {"back": o.reconstruction, "kept": o.keep, "coarse": o.identity}
        weights |= {"shading": o.shading, "outside": o.outside}
        if step >= o.warmup_steps:
            with self.autocast():
                frames = self.to_memory_format(augment(final, state.noise, "g", self.changes))
                values["g"] = generator_loss(self.discriminator, (frames, state.given.sentence))
        return weighted_sum(values, weights), values

    def _discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        real = self.to_memory_format(augment(state.photos, state.noise, "real", self.changes))
        fake = self.to_memory_format(
            augment(state.final.detach(), state.noise, "fake", self.changes)
        )
        pairs = (real, state.own_sentence), (fake, state.given.sentence)
        with self.autocast():
            loss = discriminator_loss(
                self.discriminator, *pairs, state.negative_sentence, self.options.mismatched
            )
        return loss, {"d": loss}

    def _distances(self, state: StepState) -> Values:
        """L1 of photos with their own caption, stages included; of edits: of all their pixels, of
        those outside of the thing, of coarse brightness, and of the shading of the thing. Means
        over the whole batch, so that no draw of edits weighs a picture more.
        """
        photos, own, edits = state.photos, 1 - state.edits, state.edits
        back = _l1(state.final, photos, own)
        for picture in state.pictures:
            target = functional.adaptive_avg_pool2d(photos, picture.shape[-1])
            back = back + self.options.stages * _l1(picture, target, own)
        made, before = _brightness(state.final), _brightness(photos)
        behind = state.background
        return {
            "back": back,
            "kept": _l1(state.final, photos, edits),
            "outside": _l1(state.final * behind, photos * behind, edits),
            "coarse": _l1(made, before, edits),
            "shading": _l1(_shading(made, 1 - behind), _shading(before, 1 - behind), edits),
        }

    def _perceptual_loss(self, state: StepState) -> Tensor:
        """Squared distance of early features, of photos with their own caption."""
        detail = self.encoders.detail
        with torch.no_grad():
            target = detail(state.photos)
        distance = (detail(self.to_memory_format(state.final)) - target).float().square()
        return (distance.mean((1, 2, 3)) * (1 - state.edits)).mean()

    def recalibrate_batch_norm(self, averaged: Modules, batch: Batch, noise: Noise) -> None:
        with self.autocast():
            photo = self.encoders.photo(self.to_memory_format(batch.images))
            self._edit(averaged, photo, self._own_captions(batch), noise)

    def _own_captions(self, batch: Batch) -> Caption:
        return encode_captions(self.text, batch.ids, batch.lengths)

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the photo, brought back by its caption, edited by another class's."""
        photo = self.encoders.photo(self.to_memory_format(batch.images))
        other = encode_captions(self.text, batch.negative_ids, batch.negative_lengths)
        made = [
            self._edit(averaged, photo, c, noise)[0] for c in (self._own_captions(batch), other)
        ]
        return stack_rows(batch.images, *made)

    def export(self, averaged: Modules) -> Exported:
        network, roles = super().export(averaged)
        return network, {**roles, **bundle_modules(self.encoders)}


def _select_captions(edits: Tensor, other: Caption, own: Caption) -> Caption:
    """By row the one caption or the other; edits bool [B]."""
    width = max(other.words.shape[2], own.words.shape[2])
    new, old = (functional.pad(c.words, (0, width - c.words.shape[2])) for c in (other, own))
    return Caption(
        torch.where(edits[:, None, None], new, old),
        torch.where(edits[:, None], other.sentence, own.sentence),
        torch.where(edits, other.lengths, own.lengths),
    )


def _l1(pictures: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference; weight [B] of each picture."""
    return ((pictures - target).abs().mean((1, 2, 3)) * weight).mean()


def _brightness(pictures: Tensor) -> Tensor:
    """Luma [B,1,S/4,S/4] of pictures [B,3,S,S]."""
    luma = sum(w * plane for w, plane in zip(_LUMA, pictures.split(1, 1), strict=True))
    return functional.avg_pool2d(cast("Tensor", luma), _COARSE)


def _shading(brightness: Tensor, thing: Tensor) -> Tensor:
    """Coarse brightness [B,1,h,w] less that of the thing around each cell, and none outside of it:
    a white bird that becomes black may keep its shading, and need not keep its outline against the
    background. thing: float32 [B,1,S,S], 1 where it is.
    """
    share = functional.avg_pool2d(thing, _COARSE)
    around = [
        functional.avg_pool2d(x, _AROUND, 1, _AROUND // 2) for x in (brightness * share, share)
    ]
    return (brightness - around[0] / around[1].clamp(min=1e-3)) * share
