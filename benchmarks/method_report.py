"""What a comparison of methods measured: costs of each training, and each metric over seeds."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.method_cells import COLUMNS, REFERENCES, Cell
from benchmarks.object_masks import score_outlined
from models.bundle import Bundle
from models.evaluation.run import TASKS, Options, open_held_out
from models.evaluation.runner import Runner
from models.files import json_lines
from models.plan.plan import Stage
from models.plan.sheet import first_items
from models.registry import load
from models.runtime.device import best_device

_BATCH = 16  # pictures of a timed forward
OUTLINED = "outlined.json"
_SHARED = ("text_encoder", "image_encoder")  # frozen, the same for every method


@dataclass(frozen=True)
class Budget:
    """What every training gets. pictures: that it sees, with repeats; photos: different ones, 0 for
    all that the data set has; size: of them in pixels; samples: evaluated, of each task and kind of
    mask; batch: pictures of a step, 0 as in the presets.
    """

    data: str
    encoders: Path
    pictures: int
    photos: int
    size: int
    samples: int
    batch: int
    threads: int

    @property
    def described(self) -> dict[str, object]:
        """What must not change within a report; no path of this machine."""
        named = {"data": Path(self.data).name, "encoders": Bundle.open(self.encoders).sha256}
        return {k: v for k, v in (asdict(self) | named).items() if k != "threads"}


@dataclass(frozen=True)
class Trial(Stage):
    """One training of one row, which is its label. batch: pictures of a step."""

    seed: int = 0
    batch: int = 0

    @property
    def name(self) -> str:
        return f"{self.label}/seed-{self.seed}"


@dataclass(frozen=True)
class Trained:
    """A finished trial, its folder, and what :func:`costs` measured."""

    trial: Trial
    run: Path
    costs: Mapping[str, float]

    @cached_property
    def options(self) -> dict[str, Any]:
        return dict(json.loads((self.run / "options.json").read_text(encoding="utf-8")))

    @cached_property
    def details(self) -> tuple[str, dict[str, Any]]:
        """The task, and its estimates by row and metric, those of outlined objects included."""
        task, rows = _evaluated(self.run)
        if (self.run / OUTLINED).exists():
            outlined = json.loads((self.run / OUTLINED).read_text(encoding="utf-8"))
            rows = {row: found | outlined.get(row, {}) for row, found in rows.items()}
        return task, rows

    @cached_property
    def method(self) -> str:
        return Bundle.open(self.run / "bundle").task(self.details[0]).method


Rows = Mapping[str, Sequence[Trained]]


def by_label(done: Iterable[Trained]) -> dict[str, list[Trained]]:
    """Each row's finished trainings, seeds in their order."""
    rows: dict[str, list[Trained]] = {}
    for run in done:
        rows.setdefault(run.trial.label, []).append(run)
    return rows


def _evaluated(run: Path) -> tuple[str, dict[str, Any]]:
    text = (run / "evaluation" / "details.json").read_text(encoding="utf-8")
    ((task, rows),) = json.loads(text)["tasks"].items()
    return task, rows


def outline(run: Path, budget: Budget) -> None:
    """Score fills of outlined objects, once, where the data has no masks of objects."""
    task, rows = _evaluated(run)
    known = any("l1_object" in found for found in rows.values())
    if task == "inpaint" and not known and not (run / OUTLINED).exists():
        found = score_outlined(run / "bundle", budget.data, budget.samples)
        (run / OUTLINED).write_text(json.dumps(found) + "\n", encoding="utf-8")


def costs(run: Path, budget: Budget) -> dict[str, float]:
    """``minutes`` trained; ``parameters`` of what is served without the shared encoders, in
    millions; ``ms`` of CPU time a picture in batches of 16. Measured once, kept in ``cost.json``.
    """
    path = run / "cost.json"
    if not path.exists():
        seconds = [line["seconds"] for line in json_lines(run / "stats.jsonl", "seconds")]
        bundle = Bundle.open(run / "bundle")
        task = next(t for t in bundle.tasks if t in TASKS)
        roles = [r for r in bundle.task(task).files if r not in _SHARED]
        count = sum(v.numel() for r in roles for v in bundle.state(task, r).values())
        found = {"minutes": seconds[-1] / 60, "parameters": count / 1e6}
        found["ms"] = _milliseconds(run / "bundle", task, budget)
        path.write_text(json.dumps(found) + "\n", encoding="utf-8")
    measured: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return measured


def _milliseconds(folder: Path, task: str, budget: Budget) -> float:
    runner = Runner(load(folder, task, None, best_device("auto")), _BATCH)
    data = open_held_out(budget.data, Bundle.open(folder), Options())
    _, asked = first_items(runner, data, task, _BATCH)
    times = []
    for _ in range(5):
        started = time.process_time()
        runner.run(asked)
        times.append(time.process_time() - started)
    return 1000 * min(times[1:]) / len(asked)


def results(budget: Budget, rows: Rows, failed: str) -> dict[str, Any]:
    """All that the page tells, as JSON; failed: what went wrong, in words, or nothing."""
    runs = [run for own in rows.values() for run in own]
    tasks: dict[str, dict[str, Any]] = {}
    for label, own in rows.items():
        tasks.setdefault(own[0].details[0], {})[label] = _measured(own)
    for task, found in tasks.items():
        own = next(rows[label] for label in found)
        found |= {n: {"metrics": _metrics(task, own[:1], n)} for n in REFERENCES[task]}
        if "tdanet" in found:
            asked = {"metrics": _metrics(task, rows["tdanet"], "no-text")}
            found["tdanet, asked without text"] = asked
    return {
        "budget": {**budget.described, "threads": budget.threads, "encoders": budget.encoders.name},
        "photos": max((run.options["data"]["samples"] for run in runs), default=0),
        "outlined": any((run.run / OUTLINED).exists() for run in runs),
        "failed": failed,
        "tasks": tasks,
    }


def _measured(runs: Sequence[Trained]) -> dict[str, Any]:
    """One row of a trained method."""
    one, (task, _) = runs[0], runs[0].details
    mean = {k: statistics.fmean(run.costs[k] for run in runs) for k in one.costs}
    return {
        "seeds": len(runs),
        "steps": one.trial.steps,
        "batch": one.trial.batch,
        "costs": {k: float(f"{v:.4g}") for k, v in mean.items()},
        "metrics": _metrics(task, runs, one.method),
    }


def _metrics(task: str, runs: Sequence[Trained], row: str) -> dict[str, dict[str, Any]]:
    """By column's metric, where every run has it."""
    found = {c.metric: [_estimate(run, row, c.metric) for run in runs] for c in COLUMNS[task]}
    return {
        metric: Cell.of([e for e in estimates if e]).stored
        for metric, estimates in found.items()
        if all(estimates)
    }


def _estimate(run: Trained, row: str, metric: str) -> Mapping[str, Any] | None:
    """A metric that ends with _ goes on with the name of the network that measures it."""
    found: dict[str, Mapping[str, Any]] = run.details[1].get(row, {})
    matching = [k for k in found if k == metric or (metric.endswith("_") and k.startswith(metric))]
    return found[matching[0]] if matching else None
