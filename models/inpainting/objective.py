"""Training TDANet for small budgets.

Two paths as in the paper: reconstruction (posterior latent, sees the hidden region) and generation
(prior latent, as
at test time), here each with the word context of its own side (see
:mod:`models.inpainting.losses`).
Losses: L1 pyramid,
KL of posterior and prior, least squares GAN on the composed picture of the generation path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.text_encoder import TextEncoder, padding
from models.inpainting.losses import kl_losses, two_paths
from models.inpainting.network import (
    CriticConfig,
    InpaintConfig,
    InpaintCritic,
    InpaintEncoder,
    InpaintGenerator,
    compose,
)
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import Objective, Phase, Values, adam


@dataclass(frozen=True)
class InpaintingOptions:
    """Widths, rates and loss weights. hole: extra weight of L1 inside the hole."""

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


def small_config(size: int, options: InpaintingOptions, text: int) -> InpaintConfig:
    """Latents of 8×8 and one picture per doubling, whatever the size."""
    w = options.width
    table: dict[int, tuple[tuple[int, ...], tuple[int, ...], int]] = {
        32: ((2 * w, 4 * w), (3 * w, 2 * w), 0),
        64: ((w, 3 * w, 5 * w), (4 * w, 3 * w, 2 * w), 1),
        128: ((w, 2 * w, 4 * w, 5 * w), (5 * w, 4 * w, 2 * w, w), 2),
    }
    if size not in table:
        raise ValueError(f"no small configuration for {size} pixels; there are {sorted(table)}")
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
    )


@dataclass(frozen=True)
class Seen:
    """Pictures [B,3,S,S] and masks [B,1,S,S]; pictures of both paths from small to large,
    [2B,3,s,s] each; the KL term; the generation path's composed picture, with its graph.
    """

    images: Tensor
    mask: Tensor
    pictures: list[Tensor]
    kl: Tensor
    composed: Tensor


class InpaintingObjective(Objective):
    """See :class:`models.training.objective.Objective`."""

    averaged = ("encoder", "generator")

    def __init__(self, options: InpaintingOptions, size: int, text: TextEncoder) -> None:
        super().__init__()
        self.options, self.text = options, text
        self.frozen = {"text_encoder": text}
        config = small_config(size, options, text.config.features)
        self.config = config
        self.latent_side = size >> len(config.encoder)
        self.encoder = InpaintEncoder(config)
        self.generator = InpaintGenerator(config)
        self.critic = InpaintCritic(CriticConfig((32, 64, 128), 2))
        self.modules = {
            "encoder": self.encoder,
            "generator": self.generator,
            "critic": self.critic,
        }
        made = adam([self.encoder, self.generator], options.rate, (0.5, 0.99))
        judged = adam([self.critic], options.rate_d, (0.0, 0.99))
        self.phases = {
            "critic": Phase(judged, ("critic",)),
            "generator": Phase(made, ("encoder", "generator")),
        }

    def look(self, batch: Batch, noise: Noise, step: int) -> Seen:  # noqa: ARG002
        assert batch.hole is not None  # noqa: S101 (the data set's duty)
        images, mask = batch.images.contiguous(memory_format=torch.channels_last), batch.hole
        with self.autocast():
            pictures, kl = self._both_paths(batch, images, mask, noise)
        composed = compose(pictures[-1][len(images) :], images, mask)
        return Seen(images, mask, pictures, kl, composed)

    def loss(self, phase: str, seen: Seen, step: int) -> tuple[Tensor, Values]:  # noqa: ARG002
        if phase == "critic":
            return self._critic_loss(seen.images, seen.composed.detach())
        with self.autocast():
            adversarial = (self.critic(seen.composed) - 1).square().mean()
        l1 = self._pyramid_l1(seen.pictures, seen.images, seen.mask)
        o = self.options
        loss = o.l1 * l1 + o.kl * seen.kl + o.adversarial * adversarial
        return loss, {"l1": l1, "kl": seen.kl, "g": adversarial}

    def _both_paths(
        self, batch: Batch, images: Tensor, mask: Tensor, noise: Noise
    ) -> tuple[list[Tensor], Tensor]:
        """Pictures of the reconstruction path, then of the generation path [2B,3,s,s], and the KL
        term.
        """
        words, sentence = self.text(batch.ids, batch.lengths)
        pad = padding(batch.lengths, words.shape[2])
        shape = (self.config.z, self.latent_side, self.latent_side)
        draws = torch.stack([noise.normal(path, *shape) for path in ("rec", "gen")])
        texts = (words, sentence, pad)
        paths = two_paths(self.encoder, self.generator, images, mask, texts, draws)
        kl_rec, kl_g = kl_losses(paths)
        pictures = [torch.cat(pair) for pair in zip(paths.rec, paths.gen, strict=True)]
        return pictures, kl_rec + kl_g

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

    def _critic_loss(self, real: Tensor, made: Tensor) -> tuple[Tensor, Values]:
        with self.autocast():
            scores = self.critic(torch.cat([real, made]))
        good, bad = scores.chunk(2)
        loss = 0.5 * ((good - 1).square().mean() + bad.square().mean())
        return loss, {"d": loss}

    def preview(
        self,
        batch: Batch,
        noise: Noise,  # noqa: ARG002
        averaged: Mapping[str, nn.Module],
    ) -> Tensor:
        """Rows of eight: the picture, with its hole, filled, and filled by the next picture's
        caption.
        """
        assert batch.hole is not None  # noqa: S101
        own = self._fill(batch, batch.ids, batch.lengths, averaged)
        other = self._fill(batch, batch.ids.roll(1, 0), batch.lengths.roll(1), averaged)
        holed = batch.images * batch.hole
        columns = [x.split(8) for x in (batch.images, holed, own, other)]
        return torch.cat([x for row in zip(*columns, strict=True) for x in row])

    def _fill(
        self, batch: Batch, ids: Tensor, lengths: Tensor, averaged: Mapping[str, nn.Module]
    ) -> Tensor:
        assert batch.hole is not None  # noqa: S101
        words, sentence = self.text(ids, lengths)
        pad = padding(lengths, words.shape[2])
        found = averaged["encoder"](batch.images, batch.hole, words, sentence, pad)
        feature = found.features[self.config.feature]
        out = averaged["generator"](found.mu, found.summary, feature, batch.hole)[-1]
        return compose(out, batch.images, batch.hole)

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        return asdict(self.config), {name: averaged[name] for name in self.averaged}
