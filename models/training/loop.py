"""The training loop: time, randomness, averages, snapshots, previews. It knows no architecture.

Everything random in step *t* follows from (seed, t), so a run that was killed anywhere resumes
from its snapshot
to the very numbers of an uninterrupted one.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from models.errors import ModelsError
from models.training.batch import Batch, TrainingData
from models.training.config import LoopOptions
from models.training.ema import Average
from models.training.objective import Objective
from models.training.run import Run

_PREVIEW_STREAM = 1 << 40  # batches that only previews and statistics see
_PREVIEW_COUNT = 32


class TrainingError(ModelsError):
    """Training can't go on; the message says why and what was kept."""


class Loop:
    """Runs one objective on one data set until its limit, resuming from the run's snapshot."""

    def __init__(
        self,
        objective: Objective,
        data: TrainingData,
        part: str,
        options: LoopOptions,
        run: Run,
        device: torch.device,
    ) -> None:
        self.objective, self.data, self.part = objective, data, part
        self.options, self.run, self.device = options, run, device
        for module in objective.modules.values():
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averages = {
            name: Average(objective.modules[name], options.ema) for name in objective.averaged
        }
        self.step = 0
        self.seconds = 0.0
        self._stop = False

    def train(self) -> Mapping[str, nn.Module]:
        """Train to the limit; returns the averaged modules, statistics settled."""
        self._resume()
        previous = signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            self._steps()
        finally:
            signal.signal(signal.SIGTERM, previous)
        self._snapshot()
        if self._stop:
            raise TrainingError(
                f"Stopped at step {self.step}; run the same command again to resume."
            )
        averaged = self._averaged()
        self._preview(averaged)
        return averaged

    def _steps(self) -> None:
        started, before, first = time.monotonic(), self.seconds, self.step
        while not self._stop and not self._done():
            values = self._one_step()
            self.seconds = before + time.monotonic() - started
            if self.step % self.options.log_every == 0:
                rate = (self.step - first) * self.options.batch / (time.monotonic() - started)
                self._log(values, rate)
            if self.step % self.options.snapshot_every == 0:
                self._snapshot()
            if self.step % self.options.preview_every == 0:
                self._preview(self._averaged())

    def _done(self) -> bool:
        out_of_time = bool(self.options.minutes) and self.seconds >= self.options.minutes * 60
        return out_of_time or (bool(self.options.steps) and self.step >= self.options.steps)

    def _one_step(self) -> dict[str, float]:
        noise = self._seed(self.step)
        values = self.objective.step(self._batch(self.step), self.step, noise)
        if not all(math.isfinite(v) for v in values.values()):
            raise TrainingError(
                f"A loss is not finite at step {self.step} ({values}). The snapshot before it is "
                f"kept; "
                "lower the learning rate with --set and resume."
            )
        for name, average in self.averages.items():
            average.update(self.objective.modules[name], self.step)
        self.step += 1
        return values

    def _seed(self, stream: int) -> torch.Generator:
        """Seed torch's global source (dropout) and return one for the objective's own noise."""
        torch.manual_seed(hash((self.options.seed, stream)) & 0x7FFFFFFF)
        return torch.Generator().manual_seed((self.options.seed * 1_000_003 + stream) % (1 << 62))

    def _batch(self, stream: int, count: int | None = None) -> Batch:
        count = count or self.options.batch
        seed = self.options.seed
        indices = np.random.default_rng([seed, stream]).integers(0, len(self.data), count)
        sources = [np.random.default_rng([seed, stream, k]) for k in range(count)]
        return self.data.batch(self.part, indices.tolist(), sources).to(self.device)

    def _averaged(self) -> dict[str, nn.Module]:
        """The averages, with batch statistics re-estimated for the averaged weights."""
        modules = {name: average.module for name, average in self.averages.items()}
        settle = getattr(self.objective, "settle", None)
        if settle is not None:
            self._seed(_PREVIEW_STREAM)
            batches = (
                self._batch(_PREVIEW_STREAM + 1 + k) for k in range(self.options.settle_batches)
            )
            settle(modules, batches)
        return modules

    def _preview(self, averaged: Mapping[str, nn.Module]) -> None:
        self._seed(_PREVIEW_STREAM)
        pictures = self.objective.preview(self._batch(_PREVIEW_STREAM, _PREVIEW_COUNT), averaged)
        self.run.save_grid(self.step, pictures)

    def _log(self, values: dict[str, float], rate: float) -> None:
        self.run.log({"step": self.step, "seconds": round(self.seconds, 1), **values})
        numbers = "  ".join(f"{k} {v:.3f}" for k, v in values.items())
        left = self._left(rate)
        sys.stderr.write(
            f"{self.part} step {self.step}  {rate:.0f} images/s  {left:.1f} min left  {numbers}\n"
        )

    def _left(self, rate: float) -> float:
        """Minutes until the first limit."""
        times = []
        if self.options.minutes:
            times.append(self.options.minutes - self.seconds / 60)
        if self.options.steps:
            times.append((self.options.steps - self.step) * self.options.batch / rate / 60)
        return min(times, default=math.inf)

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        self._stop = True

    def _snapshot(self) -> None:
        try:
            self.run.save_snapshot(self._state())
        except OSError as error:
            raise TrainingError(
                f"The snapshot could not be written ({error}). Free some disk space and resume."
            ) from error

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "modules": {k: m.state_dict() for k, m in self.objective.modules.items()},
            "averages": {k: a.module.state_dict() for k, a in self.averages.items()},
            "optimisers": {k: o.state_dict() for k, o in self.objective.optimisers.items()},
        }

    def _resume(self) -> None:
        state = self.run.load_snapshot()
        if state is None:
            return
        self.step, self.seconds = state["step"], state["seconds"]
        for name, module in self.objective.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, average in self.averages.items():
            average.module.load_state_dict(state["averages"][name])
        for name, optimiser in self.objective.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        sys.stderr.write(f"resumed at step {self.step}\n")
