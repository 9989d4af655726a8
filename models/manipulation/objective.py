"""What the trainings of TAGAN and SISGAN share: a generator, a discriminator, Adam as published."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.layers import init_normal
from models.manipulation.autoencoder import Edited
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import Modules, Objective, Values, adam_step, halving, stack_rows

_BETAS = (0.5, 0.999)


Caption = Any  # what a method's generator reads of captions, a tensor or several


@dataclass(frozen=True)
class StepState:
    """Photos, their captions, those that they are edited by, and noise."""

    photos: Tensor
    own: Caption
    given: Caption
    noise: Noise


class EditorObjective(Objective):
    """A subclass names its networks by :meth:`set_up`, reads captions, and has the two losses."""

    averaged = ("generator",)
    least_slice = 2

    def set_up(self, options: Any, generator: nn.Module, discriminator: nn.Module) -> None:
        """options: anything with rate, rate_d and halve_every, steps after which both halve."""
        self.halve_every: int = options.halve_every
        self.modules = {"generator": generator, "discriminator": discriminator}
        self.optimizer_steps = {
            "discriminator": adam_step(self.modules, ["discriminator"], options.rate_d, _BETAS),
            "generator": adam_step(self.modules, ["generator"], options.rate, _BETAS),
        }
        for network in self.modules.values():
            init_normal(network)

    @abstractmethod
    def _read(self, ids: Tensor, lengths: Tensor) -> Caption: ...

    def _edit(
        self, generator: nn.Module, photos: Tensor, caption: Caption, noise: Noise, name: str
    ) -> Edited:
        """name: of the conditioning's noise [B,condition]."""
        read = (caption,) if isinstance(caption, Tensor) else caption
        return generator(photos, *read, noise.normal(name, self.config.condition))

    def edited(self, state: StepState, caption: Caption, name: str) -> Edited:
        """The photos edited by a caption, with their graph."""
        return self._edit(self.modules["generator"], state.photos, caption, state.noise, name)

    def fake(self, state: StepState) -> Tensor:
        """What the discriminator judges, without a graph."""
        with torch.no_grad(), self.autocast():
            return self.to_memory_format(self.edited(state, state.given, "judged").picture)

    def rate_share(self, step: int) -> float:
        return halving(step, self.halve_every)

    def loss(self, name: str, state: StepState, step: int) -> tuple[Tensor, Values]:
        if name == "discriminator":
            return self.discriminator_loss(state)
        return self.generator_loss(state)

    @abstractmethod
    def discriminator_loss(self, state: StepState) -> tuple[Tensor, Values]: ...

    @abstractmethod
    def generator_loss(self, state: StepState) -> tuple[Tensor, Values]: ...

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the photo, and the edit by a caption not its own."""
        caption = self._read(batch.negative_ids, batch.negative_lengths)
        photos = self.to_memory_format(batch.images)
        made = self._edit(averaged["generator"], photos, caption, noise, "edit")
        return stack_rows(batch.images, made.picture)
