"""The seam between loop and method: an objective knows no loop, the loop no architecture."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from models.training.batch import Batch
from models.training.config import LoopOptions, check_schedule
from models.training.noise import Noise

Values = dict[str, Tensor]  # scalars to log
Modules = Mapping[str, nn.Module]
Exported = tuple[dict[str, Any], dict[str, nn.Module]]  # a configuration, modules by role


@dataclass(frozen=True)
class OptimizerStep:
    """One optimiser's turn in a step. trains: names in ``Objective.modules`` whose weights it
    changes; the others are frozen meanwhile. clip: largest norm of the gradient, 0 for none; clips:
    the modules that the norm is taken over, all of ``trains`` when empty.
    """

    optimiser: torch.optim.Optimizer
    trains: tuple[str, ...]
    clip: float = 0.0
    clips: tuple[str, ...] = ()


class Objective(ABC):
    """What is optimised for one part of a bundle.

    modules: everything that changes, part of every snapshot; frozen: what it looks through;
    averaged: names in ``modules`` whose moving average is what ships; config: of the networks that
    ship; phases: in their order; method: of the folder that it comes from, None for the part's own;
    shipped: names in ``modules`` and ``frozen`` that ship as they are; task_fields: further ones of
    a task in ``bundle.json``; least_slice: samples without which the losses mean nothing, 2 where
    other samples' captions are the wrong ones. A step is ``forward_shared`` once, then every
    phase's ``loss``; with gradient accumulation both are called once for each slice of the batch.
    ``autocast`` is the run's precision, ``layout`` its memory format, both set by the loop.
    """

    modules: dict[str, nn.Module]
    optimizer_steps: dict[str, OptimizerStep]
    averaged: tuple[str, ...]
    config: Any
    method: str | None = None
    shipped: tuple[str, ...] = ()
    task_fields: Mapping[str, Any] = MappingProxyType({})
    least_slice = 1

    def __init__(self) -> None:
        self.frozen: dict[str, nn.Module] = {}
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.layout = torch.channels_last

    def to_memory_format(self, images: Tensor) -> Tensor:
        """Pictures in the run's memory format."""
        return images.contiguous(memory_format=self.layout)

    def init_loaded(self) -> None:  # noqa: B027 (most have nothing to do)
        """The weights of ``--init`` are loaded; those of a snapshot are not yet."""

    def forward_shared(self, batch: Batch, noise: Noise, step: int) -> Any:
        """What the phases share: encoded captions, generated pictures with their graph. A single
        phase shares nothing, and takes the batch.
        """
        return batch

    def rate_share(self, step: int) -> float:
        """Share of the full learning rates at a step, by the method's own schedule."""
        return 1.0

    def active_steps(self, step: int) -> tuple[str, ...]:
        """Names of the phases of one step, in their order; every step has one at least."""
        return tuple(self.optimizer_steps)

    @abstractmethod
    def loss(self, name: str, state: Any, step: int) -> tuple[Tensor, Values]:
        """The mean loss of one phase over the slice, and values to log."""

    def recalibrate_batch_norm(self, averaged: Modules, batch: Batch, noise: Noise) -> None:
        """One forward pass of the averaged modules, their batch statistics being re-estimated."""
        self.preview(batch, noise, averaged)

    @abstractmethod
    def preview(self, batch: Batch, noise: Noise, averaged: Modules) -> Tensor:
        """Pictures [N,3,H,W] in [-1,1] for the sample grid, eight in a row."""

    def export(self, averaged: Modules) -> Exported:
        """(network configuration for bundle.json, modules by role) of the trained part."""
        return asdict(self.config), {name: averaged[name] for name in self.averaged}


def adam(
    modules: list[nn.Module], rate: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """Adam over everything in ``modules`` that can be trained, one kernel for each weight."""
    weights = [p for m in modules for p in m.parameters() if p.requires_grad]
    return torch.optim.Adam(weights, rate, betas, fused=True)


def adam_step(
    modules: Modules,
    trains: Sequence[str],
    rate: float,
    betas: tuple[float, float],
    clip: float = 0.0,
    clips: tuple[str, ...] = (),
) -> OptimizerStep:
    """The step of an Adam of its own over the modules that it trains."""
    optimiser = adam([modules[name] for name in trains], rate, betas)
    return OptimizerStep(optimiser, tuple(trains), clip, clips)


@torch.no_grad()
def match_memory_format(optimiser: torch.optim.Optimizer) -> None:
    """Give the moments of every weight its memory format: fused kernels walk them side by side."""
    for weight, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight).copy_(value)


def weighted_sum(values: Values, weights: Mapping[str, float]) -> Tensor:
    """Values by their weights, 1 where none is named."""
    return torch.stack([weights.get(name, 1.0) * value for name, value in values.items()]).sum()


def stack_rows(*columns: Tensor) -> Tensor:
    """Pictures [N,3,H,W] of each column, eight of the first above eight of the next, and so on."""
    rows = zip(*(column.split(8) for column in columns), strict=True)
    return torch.cat([part for row in rows for part in row])


class RateSchedule:
    """Sets every optimiser's rates at each step: the full ones, times a share that rises over
    ``warmup`` steps and then stays, or falls to zero at ``steps`` along half a cosine.
    """

    def __init__(self, options: LoopOptions, phases: Mapping[str, OptimizerStep]) -> None:
        check_schedule(options)
        self._options = options
        # Taken here, before a snapshot's own rates are loaded: a resumed run may have lower ones.
        self._full_rates = {
            name: [group["lr"] for group in phase.optimiser.param_groups]
            for name, phase in phases.items()
        }

    def apply(self, name: str, phase: OptimizerStep, step: int, own: float = 1.0) -> None:
        """Set the rates of the phase ``name`` for ``step``; own: ``Objective.rate_share``."""
        share = own * self.share(step)
        for group, full in zip(phase.optimiser.param_groups, self._full_rates[name], strict=True):
            group["lr"] = full * share

    def share(self, step: int) -> float:
        """Share of the full learning rate at ``step``, from 0."""
        o = self._options
        rising = min(1.0, (step + 1) / o.warmup) if o.warmup else 1.0
        if o.schedule == "constant":
            return rising
        return rising * (1 + math.cos(math.pi * min(1.0, step / o.steps))) / 2


def halving(step: int, every: int) -> float:
    """The share of a rate that halves after each ``every`` steps, 0 for never."""
    return 0.5 ** (step // every) if every else 1.0
