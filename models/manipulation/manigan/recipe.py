"""Training ManiGAN on paired pictures: what a drawn data set offers and photos do not.

Main module and detail correction learn together. Since the target of every edit is known, an L1
loss at each stage takes the place of the paper's adversarial, matching and correction losses
(sections 3.4 and 3.5); pixels that the edit changes weigh more, and one caption in twenty changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.losses import encode_captions
from models.damsm.text_encoder import TextEncoder
from models.manipulation.manigan.losses import kl_loss
from models.manipulation.manigan.network import MainOutput, edit, networks
from models.manipulation.manigan.official import draw_noise, manigan_config
from models.training.batch import Batch
from models.training.losses import edge_loss, small_part_mask
from models.training.noise import Noise
from models.training.objective import (
    Modules,
    Objective,
    Values,
    adam_step,
    stack_rows,
    weighted_sum,
)

_CHANGED = 0.06  # difference in [-1,1] from which a pixel counts as edited


@dataclass(frozen=True)
class ManipulationOptions:
    """Widths, the paper's ablations (combination, modules: see :class:`ManiganConfig`), rate and
    loss weights. edited: extra weight of changed pixels; small: of bill, eye and legs, where the
    data knows them; edges: weight of the final picture's difference of gradients; stages: of the
    main module's pictures beside the final one; kl: of the conditioning's divergence from N(0,1).
    """

    ngf: int = 16
    blocks: int = 1
    combine: int = 32
    z: int = 32
    condition: int = 64
    norm: str = "layer"
    combination: str = "affine"
    modules: str = "both"
    rate: float = 1e-3
    edited: float = 3.0
    small: float = 0.0
    edges: float = 0.0
    stages: float = 0.25
    kl: float = 0.002


class ManipulationObjective(Objective):
    def __init__(
        self, options: ManipulationOptions, size: int, text: TextEncoder, image: CompactImageEncoder
    ) -> None:
        super().__init__()
        self.options, self.text, self.image = options, text, image
        self.frozen = {"text_encoder": text, "image_encoder": image}
        self.config = manigan_config(options, size, text, image)
        self.averaged = self.config.roles
        self.modules = networks(self.config)
        step = adam_step(self.modules, self.averaged, options.rate, (0.5, 0.99), clip=5.0)
        self.optimizer_steps = {"manipulation": step}

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> tuple[Batch, Noise]:
        return batch, noise

    def loss(self, name: str, state: tuple[Batch, Noise], step: int) -> tuple[Tensor, Values]:
        batch, noise = state
        with self.autocast():
            final, main = self._edit(self.modules, batch, noise)
        o, weight = self.options, self._weight(batch)
        values = {"l1": _weighted_l1(final, batch.images, weight)}
        if o.edges:
            values["edges"] = edge_loss(final, batch.images, torch.ones_like(weight))
        if main is not None:
            staged = torch.stack([_weighted_l1(p, batch.images, weight) for p in main.pictures])
            values |= {"stages": staged.sum(), "kl": kl_loss(main.mu, main.logvar)}
        weights = {"edges": o.edges, "stages": o.stages, "kl": o.kl}
        return weighted_sum(values, weights), values

    def _edit(
        self, modules: Modules, batch: Batch, noise: Noise
    ) -> tuple[Tensor, MainOutput | None]:
        """The final picture, and what the main module made where there is one."""
        caption = encode_captions(self.text, batch.ids, batch.lengths)
        photo = self.image.photo(batch.need("source").contiguous(memory_format=torch.channels_last))
        draws = draw_noise(self.config, noise)
        final, _, main = edit(modules, *draws, *caption.parts, photo)
        return final, main

    def _weight(self, batch: Batch) -> Tensor:
        """[B,1,S,S], mean 1 per picture."""
        changed = (batch.images - batch.need("source")).abs().amax(1, keepdim=True) > _CHANGED
        weight = 1 + self.options.edited * changed.float()
        if batch.labels is not None:
            weight = weight * (1 + self.options.small * small_part_mask(batch.labels))
        return weight / weight.mean((1, 2, 3), keepdim=True)

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the photo, the edit's target, what the networks make of it."""
        final = self._edit(averaged, batch, noise)[0]
        return stack_rows(batch.need("source"), batch.images, final)


def _weighted_l1(picture: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    side = (picture.shape[-2], picture.shape[-1])
    target = functional.adaptive_avg_pool2d(target, side)
    weight = functional.adaptive_avg_pool2d(weight, side)
    return (weight * (picture - target).abs()).mean()
