"""Training ManiGAN on paired pictures: what a drawn data set offers and photos do not.

Main module and detail correction learn together. Since the target of every edit is known, an L1
loss at each stage
takes the place of the paper's adversarial, matching and correction losses (sections 3.4 and 3.5);
pixels that the edit
changes weigh more, and one caption in twenty changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.text_encoder import TextEncoder, padding
from models.manipulation.losses import kl_loss
from models.manipulation.network import DetailCorrection, MainModule, ManiganConfig
from models.training.batch import Batch

_CHANGED = 0.06  # difference in [-1,1] from which a pixel counts as edited


@dataclass(frozen=True)
class ManipulationOptions:
    """Widths, rate and loss weights. edited: extra weight of changed pixels; stages: weight of the
    main module's
    pictures beside the final one; kl: weight of the conditioning's divergence from N(0,1)."""

    ngf: int = 16
    blocks: int = 1
    combine: int = 32
    z: int = 32
    condition: int = 64
    norm: str = "layer"
    rate: float = 1e-3
    edited: float = 3.0
    stages: float = 0.25
    kl: float = 0.002


class ManipulationObjective:
    """See :class:`models.training.objective.Objective`."""

    averaged: tuple[str, ...] = ("main", "dcm")

    def __init__(
        self, options: ManipulationOptions, size: int, text: TextEncoder, image: CompactImageEncoder
    ) -> None:
        self.options, self.text, self.image = options, text, image
        regions, detail = image.photo_channels
        self.config = ManiganConfig(
            ngf=options.ngf,
            base=size // 4,
            blocks=options.blocks,
            z=options.z,
            condition=options.condition,
            text=text.config.features,
            regions=regions,
            detail=detail,
            combine=options.combine,
            norm=options.norm,
        )
        self.main = MainModule(self.config)
        self.dcm = DetailCorrection(self.config)
        self.modules: dict[str, nn.Module] = {"main": self.main, "dcm": self.dcm}
        weights = [*self.main.parameters(), *self.dcm.parameters()]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "manipulation": torch.optim.Adam(weights, options.rate, (0.5, 0.99))
        }

    def step(self, batch: Batch, step: int, noise: torch.Generator) -> dict[str, float]:  # noqa: ARG002
        assert batch.source is not None  # noqa: S101 (the data set's duty)
        count = len(batch.images)
        draws = [
            torch.randn(count, n, generator=noise).to(batch.images.device)
            for n in (self.config.z, self.config.condition)
        ]
        with torch.autocast(batch.images.device.type, torch.bfloat16):
            final, pictures, mu, logvar = self._edit(self.modules, batch, *draws)
        weight = self._weight(batch.images, batch.source)
        l1 = _weighted_l1(final, batch.images, weight)
        staged = sum((_weighted_l1(p, batch.images, weight) for p in pictures), torch.zeros(()))
        kl = kl_loss(mu, logvar)
        loss = l1 + self.options.stages * staged + self.options.kl * kl
        optimiser = self.optimisers["manipulation"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([*self.main.parameters(), *self.dcm.parameters()], 5.0)
        optimiser.step()
        return {
            "l1": float(l1.detach()),
            "stages": float(staged.detach()),
            "kl": float(kl.detach()),
        }

    def _edit(
        self, modules: Mapping[str, nn.Module], batch: Batch, z: Tensor, noise: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor, Tensor]:
        assert batch.source is not None  # noqa: S101
        words, sentence = self.text(batch.ids, batch.lengths)
        pad = padding(batch.lengths, words.shape[2])
        photo = self.image.photo(batch.source.contiguous(memory_format=torch.channels_last))
        out = modules["main"](z, noise, words, sentence, pad, photo.code, photo.regions)
        final, _ = modules["dcm"](out.hidden, photo.detail, words, pad)
        return final, out.pictures, out.mu, out.logvar

    def _weight(self, target: Tensor, source: Tensor) -> Tensor:
        """[B,1,S,S], mean 1 per picture."""
        changed = (target - source).abs().amax(1, keepdim=True) > _CHANGED
        weight = 1 + self.options.edited * changed.float()
        return weight / weight.mean((1, 2, 3), keepdim=True)

    @torch.no_grad()
    def settle(self, averaged: Mapping[str, nn.Module], batches: Any) -> None:
        """Re-estimate the batch statistics of the averaged first stage."""
        norms = [m for m in averaged["main"].modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for batch in batches:
            shape = len(batch.images)
            z = torch.randn(shape, self.config.z).to(batch.images.device)
            draw = torch.randn(shape, self.config.condition).to(batch.images.device)
            self._edit(averaged, batch, z, draw)
        for norm in norms:
            norm.momentum = 0.1
            norm.eval()

    @torch.no_grad()
    def preview(self, batch: Batch, averaged: Mapping[str, nn.Module]) -> Tensor:
        """Rows of eight: the photo, the edit's target, what the networks make of it."""
        assert batch.source is not None  # noqa: S101
        z = torch.zeros(len(batch.images), self.config.z, device=batch.images.device)
        noise = torch.zeros(len(z), self.config.condition, device=z.device)
        final = self._edit(averaged, batch, z, noise)[0]
        columns = [x.split(8) for x in (batch.source, batch.images, final)]
        return torch.cat([x for row in zip(*columns, strict=True) for x in row])

    def export(
        self, averaged: Mapping[str, nn.Module]
    ) -> tuple[dict[str, Any], dict[str, nn.Module]]:
        return asdict(self.config), {name: averaged[name] for name in self.averaged}


def _weighted_l1(picture: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    side = (picture.shape[-2], picture.shape[-1])
    target = functional.adaptive_avg_pool2d(target, side)
    weight = functional.adaptive_avg_pool2d(weight, side)
    return (weight * (picture - target).abs()).mean()
