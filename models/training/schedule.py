"""The learning rate over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping

from models.training.config import LoopOptions, check_schedule
from models.training.objective import Phase


class RateSchedule:
    """Sets every optimiser's rates at each step: the full ones, times a share that rises over
    ``warmup`` steps and then stays, or falls to zero at ``steps`` along half a cosine.
    """

    def __init__(self, options: LoopOptions, phases: Mapping[str, Phase]) -> None:
        check_schedule(options)
        self._options = options
        # Taken here, before a snapshot's own rates are loaded: a resumed run may have lower ones.
        self._full_rates = {
            name: [group["lr"] for group in phase.optimiser.param_groups]
            for name, phase in phases.items()
        }

    def apply(self, name: str, phase: Phase, step: int) -> None:
        """Set the rates of the phase ``name`` for ``step``."""
        share = self.share(step)
        for group, full in zip(phase.optimiser.param_groups, self._full_rates[name], strict=True):
            group["lr"] = full * share

    def share(self, step: int) -> float:
        """Share of the full learning rate at ``step``, from 0."""
        o = self._options
        rising = min(1.0, (step + 1) / o.warmup) if o.warmup else 1.0
        if o.schedule == "constant":
            return rising
        return rising * (1 + math.cos(math.pi * min(1.0, step / o.steps))) / 2
