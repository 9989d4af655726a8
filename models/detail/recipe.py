"""Training the detail stage: a picture against what the network makes of a small version of it.

First by L1 alone; from ``adversarial_start`` on also by a feature loss (Johnson et al. 2016) on
frozen ImageNet features, and lightly by a discriminator of patches (Ledig et al. 2017): L1 alone
gives the mean of all pictures that fit, which is too soft.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLite0, load_imagenet
from models.detail.degradation import Degradation, degrade, recolour
from models.detail.network import DetailConfig, DetailNetwork, PatchDiscriminator, enlarge
from models.training.batch import Batch
from models.training.config import ConfigError
from models.training.noise import Noise
from models.training.objective import Modules, Objective, Values, adam_step
from models.training.projected_discriminator import trunk_taps


@dataclass(frozen=True)
class DetailOptions:
    """width, depth, scale, noise: see :class:`DetailConfig`; patch: side in pixels of what is cut
    from each picture; features, adversarial: weights beside L1, 0 for none; taps: blocks of
    EfficientNet-Lite0 that features are compared after; adversarial_start: step from which both
    count; ndf: channels of the discriminator.
    """

    width: int = 48
    depth: int = 12
    scale: int = 4
    noise: int = 0
    patch: int = 128
    features: float = 0.1
    taps: str = "0,2,4"
    adversarial: float = 0.005
    adversarial_start: int = 2000
    ndf: int = 48
    rate: float = 1e-3
    rate_d: float = 4e-4
    beta2: float = 0.99


@dataclass(frozen=True)
class StepState:
    """Patches [B,3,P,P]: real, made of their small versions, and these enlarged bicubically."""

    real: Tensor
    made: Tensor
    soft: Tensor


class DetailObjective(Objective):
    averaged = ("network",)

    def __init__(self, options: DetailOptions) -> None:
        super().__init__()
        if options.patch % (8 * options.scale):
            raise ConfigError(f"detail.patch must be a multiple of {8 * options.scale}.")
        self.options = options
        self.config = DetailConfig(options.width, options.depth, options.scale, options.noise)
        self.network = DetailNetwork(self.config)
        self.modules = {"network": self.network}
        self._add_discriminators()
        o, own, judging = options, (0.9, options.beta2), (0.5, options.beta2)
        discriminators = [name for name in self.modules if name != "network"]
        self.optimizer_steps = {
            "network": adam_step(self.modules, ["network"], o.rate, own, clip=1.0),
            "discriminator": adam_step(self.modules, discriminators, o.rate_d, judging),
        }
        self._taps = trunk_taps(options.taps)
        if options.features:
            self.trunk = EfficientNetLite0(max(self._taps))
            load_imagenet(self.trunk)
            self.frozen = {"trunk": self.trunk.eval().requires_grad_(False)}

    def _add_discriminators(self) -> None:
        self.discriminator = PatchDiscriminator(self.options.ndf)
        self.modules["discriminator"] = self.discriminator

    def active_steps(self, step: int) -> tuple[str, ...]:
        adversarial = self.options.adversarial and step >= self.options.adversarial_start
        return tuple(self.optimizer_steps) if adversarial else ("network",)

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> StepState:
        o = self.options
        real = recolour(cut_patches(batch.images, o.patch, o.scale, noise), noise)
        small = self.to_memory_format(degrade(real, o.scale, Degradation(), noise))
        made = self.enlarge(small, noise, "degraded")
        return StepState(self.to_memory_format(real), made, enlarge(small, o.scale))

    def enlarge(self, small: Tensor, noise: Noise, tag: str) -> Tensor:
        """Small pictures enlarged, with fresh noise; tag tells draws of a step apart."""
        planes = noise.normal(f"planes, {tag}", self.config.noise, *small.shape[2:])
        with self.autocast():
            made: Tensor = self.network(small, planes)
        return made

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "discriminator":
            return self._discriminator_loss(state)
        o, values = self.options, {"l1": functional.l1_loss(state.made, state.real)}
        loss = values["l1"]
        if step >= o.adversarial_start:
            if o.features:
                values["features"] = self._feature_loss(state)
                loss = loss + o.features * values["features"]
            if o.adversarial:
                with self.autocast():
                    values["fool"] = -self.discriminator(state.made, state.soft).mean()
                loss = loss + o.adversarial * values["fool"]
        return loss, values

    def _feature_loss(self, state: StepState) -> Tensor:
        """Mean over the taps of the L1 distance, in units of the real features' mean magnitude."""
        with self.autocast():
            made = self.trunk(state.made, self._taps)
            with torch.no_grad():
                real = self.trunk(state.real, self._taps)
        gaps = [
            (made[tap].float() - real[tap].float()).abs().mean() / real[tap].float().abs().mean()
            for tap in self._taps
        ]
        return torch.stack(gaps).mean()

    def _discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]:
        with self.autocast():
            real = self.discriminator(state.real, state.soft)
            made = self.discriminator(state.made.detach(), state.soft)
        loss = functional.relu(1 - real).mean() + functional.relu(1 + made).mean()
        return loss, {"discriminator": loss, "real": real.mean(), "made": made.mean()}

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: pictures made small and enlarged bicubically, by the network, and real."""
        real = batch.images[:8]
        small = functional.avg_pool2d(real, self.options.scale)
        made = averaged["network"](small)
        return torch.cat([enlarge(small, self.options.scale), made, real]).clamp(-1, 1)


def cut_patches(pictures: Tensor, side: int, scale: int, noise: Noise) -> Tensor:
    """A square of each picture [B,3,S,S], at a multiple of ``scale`` pixels; some flipped."""
    size = pictures.shape[-1]
    if size < side:
        raise ConfigError(f"detail.patch is {side}, larger than the pictures, {size}.")
    down, across, mirrored, turned = noise.uniform("patches", 4).double().T[..., None]
    places = (size - side) // scale + 1
    along = torch.arange(side, device=pictures.device)
    rows, columns = (
        (drawn * places).long() * scale + torch.where(flip < 0.5, side - 1 - along, along)
        for drawn, flip in ((down, turned), (across, mirrored))
    )
    each = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    cut = pictures.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None]]
    return cut.permute(0, 3, 1, 2)
