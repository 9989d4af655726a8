"""What the trainings of TAGAN and SISGAN share: a generator, a discriminator, Adam as published."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from models.layers import init_normal
from models.manipulation.autoencoder import Edited
from models.training.batch import Batch
from models.training.noise import Noise
from models.training.objective import (
    Modules,
    Objective,
    Values,
    adam_steps,
    halving,
    stack_rows,
)

_BETAS = (0.5, 0.999)


class EditorObjective(Objective):
    """A subclass names its networks by :meth:`set_up`, and has the two losses."""

    averaged = ("generator",)

    def set_up(self, options: Any, generator: nn.Module, discriminator: nn.Module) -> None:
        """options: anything with rate, rate_d and halve_every, steps after which both halve."""
        self.halve_every: int = options.halve_every
        self.modules = {"generator": generator, "discriminator": discriminator}
        self.optimizer_steps = adam_steps(
            self.modules,
            _BETAS,
            discriminator=(["discriminator"], options.rate_d),
            generator=(["generator"], options.rate),
        )
        for network in self.modules.values():
            init_normal(network)

    def draw(self, noise: Noise, name: str) -> Tensor:
        """Noise of the conditioning [B,condition] for the edit of that name."""
        return noise.normal(name, self.config.condition)

    def rate_share(self, step: int) -> float:
        return halving(step, self.halve_every)

    def loss(self, name: str, state: Any, step: int) -> tuple[Tensor, Values]:
        if name == "discriminator":
            return self.discriminator_loss(state)
        return self.generator_loss(state)

    @abstractmethod
    def discriminator_loss(self, state: Any) -> tuple[Tensor, Values]: ...

    @abstractmethod
    def generator_loss(self, state: Any) -> tuple[Tensor, Values]: ...

    @abstractmethod
    def edit(self, generator: nn.Module, batch: Batch, noise: Noise) -> Edited:
        """The photos edited by captions that are not theirs."""

    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Rows of eight: the photo, and the edit by a caption not its own."""
        return stack_rows(batch.images, self.edit(averaged["generator"], batch, noise).picture)
