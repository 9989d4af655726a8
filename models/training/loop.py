"""The training loop on Lightning Fabric: time, randomness, averages, snapshots; no architecture.

Everything random in step *t* follows from (seed, t) and the sample's place in the batch. So a run
that was killed anywhere resumes from its snapshot to the very numbers of an uninterrupted one, bit
for bit on the same number of processes and slices; on another number of processes up to rounding
(and to the masks of dropout), in other slices up to what losses and norms see beside a sample. A
GPU draws its noise itself: other noise than a CPU's.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from models.errors import ModelsError, Stopped
from models.failures import os_error_sentence
from models.training.batch import Batch, TrainingData
from models.training.config import LoopOptions
from models.training.distributed import average_gradients, gather_statistics
from models.training.ema import Average, recalibrate_batch_norms, tracking_batch_norms
from models.training.interruption import Interruption
from models.training.loader import Slices, load_slices
from models.training.noise import Noise
from models.training.objective import (
    Modules,
    Objective,
    OptimizerStep,
    RateSchedule,
    Values,
    match_memory_format,
)
from models.training.run import Run, all_finite

_PREVIEW_STREAM = 1 << 40  # batches that only previews and statistics see
_PREVIEW_COUNT = 32
_ADVICE = (
    "The last snapshot is kept: run the same command with a lower learning rate (--set rate=…, or "
    "rate_g, rate_d) to go on from there."
)


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
        fabric: Fabric,
    ) -> None:
        self.objective, self.data, self.part = objective, data, part
        self.options, self.run, self.fabric = options, run, fabric
        self.slices = _slices(options, fabric, objective.least_slice)
        objective.autocast = fabric.autocast
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        objective.layout = layout
        for module in (*objective.modules.values(), *objective.frozen.values()):
            module.to(fabric.device, memory_format=layout)  # type: ignore[call-overload]
        self.averages = {
            name: Average(objective.modules[name], options.ema) for name in objective.averaged
        }
        if fabric.world_size > 1:
            for module in objective.modules.values():
                gather_statistics(module)
        self._trainable = {
            name: [p for p in module.parameters() if p.requires_grad]
            for name, module in objective.modules.items()
        }
        self._schedule = RateSchedule(options, objective.optimizer_steps)
        self.step = 0
        self.seconds = 0.0
        self._interruption = Interruption()
        self._batches: Iterator[Slices] | None = None

    def train(self) -> Modules:
        """Train to the limit; returns the averaged modules, their batch statistics re-estimated.

        Raises TrainingError when it can't go on, Stopped when it was asked to stop.
        """
        self._resume()
        if self.fabric.is_global_zero:
            self.run.continue_logs(self.step)
        with self._interruption:
            try:
                self._steps()
            except OSError as error:  # of statistics and previews: a full disk, a lost mount
                self._snapshot()
                raise TrainingError(
                    f"{os_error_sentence(error)} Steps up to {self.step} are in the snapshot."
                ) from error
            self._snapshot()
        if self._interruption.requested:
            raise Stopped(
                f"Stopped at step {self.step}; run the same command again to resume.",
                self._interruption.status,
            )
        averaged = self._recalibrated_averages()
        self._preview(averaged)
        return averaged

    def _steps(self) -> None:
        started, before, first = time.monotonic(), self.seconds, self.step
        while not self._is_done():
            values = self.advance()
            self.seconds = before + time.monotonic() - started
            rate = (self.step - first) * self.options.batch / (self.seconds - before)
            if self.step % self.options.log_every == 0:
                self._log(self._check_finite(values), rate)
            elif self.step == first + 1:  # a sign of life before the first line of statistics
                self._report(self._check_finite(values), rate)
            if self.step % self.options.snapshot_every == 0:
                self._check_finite(values)
                self._snapshot()
            if self.step % self.options.preview_every == 0:
                self._preview(self._recalibrated_averages())

    def _is_done(self) -> bool:
        """Whether to stop, as the first process sees the clock and the signals."""
        if self.options.steps and self.step >= self.options.steps:
            return True
        over = bool(self.options.minutes) and self.seconds >= self.options.minutes * 60
        if self.fabric.world_size == 1:
            return over or self._interruption.requested
        state = self.fabric.broadcast((over, self._interruption.requested), src=0)
        self._interruption.requested = bool(state[1])
        return bool(state[0] or state[1])

    def advance(self) -> Values:
        """One step; returns what it logged."""
        values: Values = {}
        if self._batches is None:
            self._batches = load_slices(
                self.step, self._make_slices, self.fabric.device, self.options.workers
            )
        slices = [
            (batch.to(self.fabric.device), self._noise(self.step, self.options.batch, *place))
            for batch, place in zip(next(self._batches), self._slice_ranges(), strict=True)
        ]
        _seed_dropout(self.options.seed, self.step, self.fabric.global_rank)
        seen = [self.objective.forward_shared(*slices[0], self.step)] if self.slices == 1 else []
        for name in self.objective.active_steps(self.step):
            phase = self.objective.optimizer_steps[name]
            self._freeze_all_but(phase)
            self._schedule.apply(name, phase, self.step, self.objective.rate_share(self.step))
            phase.optimiser.zero_grad(set_to_none=True)
            for batch, noise in slices:
                # Slices exist to save memory, so what was seen is not kept from phase to phase.
                shared = seen[0] if seen else self.objective.forward_shared(batch, noise, self.step)
                loss, found = self.objective.loss(name, shared, self.step)
                self.fabric.backward(loss / self.slices)
                for key, value in found.items():
                    mean = value.detach() / self.slices
                    values[key] = values[key] + mean if key in values else mean
            self._clip_and_step(phase)
        self._freeze_all_but(None)
        for name, average in self.averages.items():
            average.update(self.objective.modules[name], self.step)
        self.step += 1
        return values

    def _clip_and_step(self, optimizer_step: OptimizerStep) -> None:
        weights = [p for name in optimizer_step.trains for p in self._trainable[name]]
        average_gradients(weights)
        if optimizer_step.clip:
            clipped = [
                p
                for name in optimizer_step.clips or optimizer_step.trains
                for p in self._trainable[name]
            ]
            nn.utils.clip_grad_norm_(clipped, optimizer_step.clip)
        optimizer_step.optimiser.step()

    def _freeze_all_but(self, optimizer_step: OptimizerStep | None) -> None:
        for name, weights in self._trainable.items():
            for weight in weights:
                weight.requires_grad_(optimizer_step is None or name in optimizer_step.trains)

    def _slice_ranges(self) -> list[tuple[int, int]]:
        """Start and count of each slice of this process's share of a batch."""
        count = self.options.batch // (self.fabric.world_size * self.slices)
        first = self.fabric.global_rank * self.slices
        return [((first + k) * count, count) for k in range(self.slices)]

    def _make_slices(self, step: int) -> Slices:
        return [self._batch(step, self.options.batch, *place) for place in self._slice_ranges()]

    def samples(self, stream: int, total: int, start: int, count: int) -> tuple[Batch, Noise]:
        """Samples ``start`` … ``start + count`` of the batch of ``total`` at step ``stream``."""
        batch = self._batch(stream, total, start, count)
        return batch.to(self.fabric.device), self._noise(stream, total, start, count)

    def _noise(self, stream: int, total: int, start: int, count: int) -> Noise:
        return Noise(self.options.seed, stream, total, start, count).to(self.fabric.device)

    def _batch(self, stream: int, total: int, start: int, count: int) -> Batch:
        seed = self.options.seed
        places = np.random.default_rng([seed, stream]).integers(0, len(self.data), total)
        own = range(start, start + count)
        # By spawn keys: [seed, stream, 0] is [seed, stream], so sample 0 would draw as places do.
        spawned = [np.random.SeedSequence([seed, stream], spawn_key=(k,)) for k in own]
        sources = [np.random.default_rng(sequence) for sequence in spawned]
        return self.data.batch(self.part, [int(places[k]) for k in own], sources)

    def _recalibrated_averages(self) -> dict[str, nn.Module]:
        """The averages, with batch statistics re-estimated for the averaged weights."""
        modules = {name: average.module for name, average in self.averages.items()}
        live = self.objective.modules
        norms = [
            n for k, average in modules.items() for n in tracking_batch_norms(average, live[k])
        ]
        if norms and self.options.settle_batches:
            count = self.options.batch

            def forward(k: int) -> None:
                samples = self.samples(_PREVIEW_STREAM + 1 + k, count, 0, count)
                self.objective.recalibrate_batch_norm(modules, *samples)

            recalibrate_batch_norms(norms, self.options.settle_batches, forward)
        return modules

    @torch.no_grad()
    def _preview(self, averaged: Modules) -> None:
        if self.fabric.is_global_zero:
            batch, noise = self.samples(_PREVIEW_STREAM, _PREVIEW_COUNT, 0, _PREVIEW_COUNT)
            self.run.save_grid(self.step, self.objective.preview(batch, noise, averaged))

    def _check_finite(self, values: Values) -> dict[str, float]:
        """The values as numbers. Raises TrainingError when one is not finite."""
        numbers = {k: float(v) for k, v in values.items()}
        if not all(math.isfinite(v) for v in numbers.values()):
            raise TrainingError(f"A loss is not finite at step {self.step} ({numbers}). {_ADVICE}")
        return numbers

    def _log(self, values: dict[str, float], rate: float) -> None:
        if self.fabric.is_global_zero:
            self.run.log(self.step, {"seconds": round(self.seconds, 1), "rate": rate, **values})
        self._report(values, rate)

    def _report(self, values: dict[str, float], rate: float) -> None:
        if not self.fabric.is_global_zero:
            return
        numbers = "  ".join(f"{k} {v:.3f}" for k, v in values.items())
        left = self._minutes_left(rate)
        with contextlib.suppress(OSError):  # whoever reads along may go; the run goes on
            sys.stderr.write(
                f"{self.part} step {self.step}  {rate:.0f} images/s  {left:.1f} min left  "
                f"{numbers}\n"
            )

    def _minutes_left(self, rate: float) -> float:
        """Minutes until the first limit."""
        times = []
        if self.options.minutes:
            times.append(self.options.minutes - self.seconds / 60)
        if self.options.steps:
            times.append((self.options.steps - self.step) * self.options.batch / rate / 60)
        return min(times, default=math.inf)

    def _snapshot(self) -> None:
        """Raises TrainingError, the last snapshot untouched, when weights are not finite."""
        if not self.fabric.is_global_zero:
            return
        state = self._state_dict()
        if not all_finite(state):
            raise TrainingError(f"Weights are not finite at step {self.step}. {_ADVICE}")
        try:
            self.run.save_snapshot(state)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            raise TrainingError(
                f"The snapshot could not be written ({error}). Free some disk space and resume."
            ) from error

    def _state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "modules": {k: m.state_dict() for k, m in self.objective.modules.items()},
            "averages": {k: a.module.state_dict() for k, a in self.averages.items()},
            "optimisers": {
                k: p.optimiser.state_dict() for k, p in self.objective.optimizer_steps.items()
            },
        }

    def _resume(self) -> None:
        state = self.run.load_snapshot()
        if state is None:
            return
        try:
            self._load_state(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise TrainingError(
                f"{self.run.folder / 'snapshot.pt'} does not fit this training ({reason}): it is "
                "of another version, or damaged. Delete it to train from the start."
            ) from error
        if self.fabric.is_global_zero:
            sys.stderr.write(f"resumed at step {self.step}\n")

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        for name, module in self.objective.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, average in self.averages.items():
            average.module.load_state_dict(state["averages"][name])
        for name, phase in self.objective.optimizer_steps.items():
            phase.optimiser.load_state_dict(state["optimisers"][name])
            match_memory_format(phase.optimiser)


def _slices(options: LoopOptions, fabric: Fabric, least: int) -> int:
    """Slices of one process's share of a batch. Raises TrainingError when they don't divide it or
    would hold fewer than ``least`` samples.
    """
    parts = fabric.world_size * options.accumulate
    if options.batch % parts:
        raise TrainingError(
            f"A batch of {options.batch} can't be split into {fabric.world_size} processes × "
            f"{options.accumulate} slices; choose loop.batch as a multiple of {parts}."
        )
    if options.batch // parts < least:
        raise TrainingError(
            f"This training compares samples with each other; choose loop.batch from "
            f"{least * parts} up, or fewer slices (loop.accumulate)."
        )
    return options.accumulate


def _seed_dropout(seed: int, step: int, rank: int) -> None:
    """torch's global source, which dropout alone reads."""
    torch.manual_seed((seed * 1_000_003 + step * 97 + rank) & 0x7FFFFFFFFFFF)


def build_fabric(options: LoopOptions, device: str) -> Fabric:
    """One process or many by the same options; ``device`` is cpu, cuda, cuda:1 or auto."""
    kind, _, number = device.partition(":")
    devices: Any = [int(number)] if number else options.devices or 1
    return Fabric(
        accelerator=kind,
        devices=devices,
        num_nodes=options.nodes,
        precision=options.precision,  # type: ignore[arg-type]
        strategy="ddp" if options.devices > 1 or options.nodes > 1 else "auto",
    )
