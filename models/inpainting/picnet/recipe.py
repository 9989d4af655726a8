"""Training PICNet (section 3 of the paper, weights and habits of the published code).

Reconstruction draws its latent from the posterior, which sees the hidden region; generation draws
it from the prior, as at test time, and is compared with the truth in the known region alone. Both
paths paint from the features of the known region. Each has a discriminator of its own, of raw
pictures: generation by least squares, reconstruction by matching its scores with the real
picture's. The posterior's target is N(0, m_σ²), narrow for small holes; the prior's the posterior.

The published network is that of 256 pixels; smaller ones keep latents of 8×8 and lose levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import ModelsError
from models.inpainting.picnet.network import PicnetConfig, PicnetEncoder, PicnetGenerator
from models.inpainting.tdanet import losses
from models.inpainting.tdanet.network import (
    InpaintDiscriminator,
    InpaintDiscriminatorConfig,
    compose,
)
from models.inpainting.tdanet.official import init_weights
from models.training.batch import Batch, TrainingData
from models.training.noise import Noise
from models.training.objective import Modules, Objective, Values, adam_step, stack_rows

_BETAS = (0.0, 0.999)
_SIZES = {64: 3, 128: 4, 256: 5}  # pixels: levels


@dataclass(frozen=True)
class Options:
    """width: channels of the first block; kl, of each output, and l1: published factors."""

    width: int = 32
    refine: int = 6
    spectral: bool = True
    rate: float = 1e-4
    rate_d: float = 1e-4
    kl: float = 20.0
    l1: float = 20.0


@dataclass(frozen=True)
class StepState:
    """Pictures [B,3,S,S] and masks [B,1,S,S]; pictures of both paths from coarse to fine, with
    their graph; (mu, sigma) of posterior and prior.
    """

    images: Tensor
    mask: Tensor
    rec: list[Tensor]
    gen: list[Tensor]
    posterior: tuple[Tensor, Tensor]
    prior: tuple[Tensor, Tensor]


def sized_config(options: Options, size: int) -> PicnetConfig:
    """The published proportions, at 256 pixels and width 32 that network; 64 and 128 pixels have
    less levels. Raises ModelsError for other sizes.
    """
    if size not in _SIZES:
        raise ModelsError(f"PICNet is trained at {sorted(_SIZES)} pixels, not at {size}.")
    levels = _SIZES[size]
    outputs = min(levels, 4)
    encoder = tuple(options.width * min(2**k, 4) for k in range(levels))
    decoder = list(reversed(encoder))
    # The attention block needs as many channels in the decoder as in the encoder's feature.
    decoder[levels - outputs] = encoder[outputs - 2]
    return PicnetConfig(
        encoder=encoder,
        feature=outputs - 2,
        decoder=tuple(decoder),
        outputs=outputs,
        z=encoder[-1],
        refine=options.refine,
        spectral=options.spectral,
    )


class PicnetObjective(Objective):
    method = "picnet"
    averaged = ("encoder", "generator")

    def __init__(self, options: Options, size: int) -> None:
        super().__init__()
        self.options, self.config = options, sized_config(options, size)
        self.encoder, self.generator = PicnetEncoder(self.config), PicnetGenerator(self.config)
        sizes = InpaintDiscriminatorConfig(self.config.encoder, 2, options.spectral)
        self.discriminator = InpaintDiscriminator(sizes)
        self.rec_discriminator = InpaintDiscriminator(sizes)
        self.modules = {
            "encoder": self.encoder,
            "generator": self.generator,
            "discriminator": self.discriminator,
            "rec_discriminator": self.rec_discriminator,
        }
        for module in self.modules.values():
            init_weights(module)
        judging = "discriminator", "rec_discriminator"
        self.optimizer_steps = {
            "discriminators": adam_step(self.modules, judging, options.rate_d, _BETAS),
            "generator": adam_step(self.modules, self.averaged, options.rate, _BETAS),
        }

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        images, mask = self.to_memory_format(batch.images), batch.need("known_mask")
        with self.autocast():
            return self._paths(images, mask, noise)

    def _paths(self, images: Tensor, mask: Tensor, noise: Noise) -> StepState:
        encoder = self.encoder
        shown = torch.cat([images * mask, images * (1 - mask)])
        features = encoder.pyramid(shown, torch.cat([mask, 1 - mask]))
        known, hidden = features[-1].chunk(2)
        prior = encoder.distribution(encoder.prior, encoder.refine(known))
        posterior = encoder.distribution(encoder.posterior, hidden)
        shape = prior[0].shape[1:]
        drawn = [
            mu + sigma * noise.normal(name, *shape)
            for name, (mu, sigma) in (("rec", posterior), ("gen", prior))
        ]
        feature = features[self.config.feature].chunk(2)[0]
        twice = [torch.cat([x, x]) for x in (known, feature, mask)]
        halves = [x.chunk(2) for x in self.generator(torch.cat(drawn), *twice)]
        rec, gen = [h[0] for h in halves], [h[1] for h in halves]
        return StepState(images, mask, rec, gen, posterior, prior)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        judging = name == "discriminators"
        found = self._discriminator_losses if judging else self._adversarial_losses
        with self.autocast():
            values = found(state)
        if not judging:
            values |= self._compared(state)
        return torch.stack(list(values.values())).sum(), values

    def _discriminator_losses(self, state: StepState) -> Values:
        """The discriminators' losses, by their published names."""
        loss, real = losses.least_squares_discriminator_loss, state.images
        return {
            "img_d": loss(self.discriminator, real, state.gen[-1]),
            "img_d_rec": loss(self.rec_discriminator, real, state.rec[-1]),
        }

    def _adversarial_losses(self, state: StepState) -> Values:
        """What the discriminators ask of the pictures, in the published order of forwards, since
        each of them moves the spectral vectors.
        """
        ad_g = losses.least_squares_generator_loss(self.discriminator, state.gen[-1])
        scores = self.rec_discriminator(state.rec[-1])
        return {
            "ad_g": ad_g,
            "ad_rec": functional.mse_loss(scores, self.rec_discriminator(state.images)),
        }

    def _compared(self, state: StepState) -> Values:
        """What needs no discriminator; factors included."""
        kl, l1 = self.options.kl * self.config.outputs, self.options.l1
        (mu_p, sigma_p), (mu_q, sigma_q) = state.posterior, state.prior
        target = hole_sigma(state.mask).expand_as(mu_p)
        return {
            "kl_rec": kl * losses.gaussian_kl(torch.zeros_like(mu_p), target, mu_p, sigma_p),
            "kl_g": kl * losses.gaussian_kl(mu_p.detach(), sigma_p.detach(), mu_q, sigma_q),
            "app_rec": l1 * losses.pyramid_l1(state.rec, state.images),
            "app_g": l1 * known_l1(state.gen, state.images, state.mask),
        }

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the picture, with its hole, filled by the mean and by a sample."""
        images, mask = batch.images, batch.need("known_mask")
        seen = averaged["encoder"](images, mask)
        z = seen.mu + seen.sigma * noise.normal("gen", *seen.mu.shape[1:])
        feature = seen.features[self.config.feature]
        made = [
            averaged["generator"](latent, seen.features[-1], feature, mask)[-1]
            for latent in (seen.mu, z)
        ]
        fills = [compose(x, images, mask) for x in made]
        return stack_rows(images, images * mask, *fills)


def hole_sigma(mask: Tensor) -> Tensor:
    """Deviation [B,1,1,1] of the posterior's target for masks [B,1,S,S], 1 = known: near 0 where
    all is known, near 1 for a hole of half the picture.
    """
    known = mask.mean((1, 2, 3), keepdim=True)
    return torch.sigmoid(-8 * (known - 1e-5 - 0.8))


def known_l1(pictures: Sequence[Tensor], images: Tensor, mask: Tensor) -> Tensor:
    """As ``losses.pyramid_l1``, of known pixels (mask [B,1,S,S]) over the number of all."""
    total = images.new_zeros(())
    for picture in pictures:
        size = (picture.shape[-2], picture.shape[-1])
        target, known = (
            functional.interpolate(x, size, mode="bilinear", align_corners=True)
            for x in (images, mask)
        )
        total = total + (known * (picture - target)).abs().mean()
    return total


def build(options: Options, data: TrainingData) -> Objective:
    """The objective for a data set's pictures."""
    return PicnetObjective(options, data.size)
