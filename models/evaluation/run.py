"""One evaluation: a bundle's tasks on a held-out split, judged and reported."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.evaluation.cases import HeldOut
from models.evaluation.evaluator_files import require_judges
from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.held_out_photos import open_held_out_photos
from models.evaluation.panel import Panel, load_panel
from models.evaluation.report import write
from models.evaluation.results import TaskReport
from models.evaluation.runner import EvaluationError, Runner
from models.registry import load

_GLANCE = 64  # pixels of pictures that are only counted
FINAL = "test"  # the split that is looked at once, when everything is chosen
SPLITS = ("validation", FINAL)
# task -> this package's module whose ``evaluate(runner, data, panel, count, seed)`` does it
TASKS = {"synthesize": "synthesis", "manipulate": "manipulation", "inpaint": "inpainting"}


@dataclass(frozen=True)
class Options:
    """tasks: empty = all that the bundle has; samples: per task (and kind of mask); split: one of
    SPLITS; final: whether nothing is chosen any more; size: of the pictures in pixels, 0 = the
    network's own; judges: folder with ``judges.json``; inception: official weights file;
    classifier: "lite2" reports birds and flowers, "lite0" is for choosing; save_images: all of
    them, not only the grids'; noise_scale, candidates: of synthesis, and fidelity: of tasks on
    photos; None = as the bundle serves.
    """

    tasks: tuple[str, ...] = ()
    samples: int = 1000
    split: str = "validation"
    final: bool = False
    size: int = 0
    seed: int = 0
    batch: int = 16
    device: str = "cpu"
    evaluators: Path | None = None
    inception: Path | None = None
    features: bool = True
    classifier: str = "lite2"
    save_images: bool = False
    noise_scale: float | None = None
    candidates: int | None = None
    fidelity: str | None = None

    def serving(self, task: str) -> dict[str, Any]:
        """What a task is asked for in place of the bundle's own values."""
        given: dict[str, Any] = {"fidelity": self.fidelity}
        if task == "synthesize":
            given = {"noise_scale": self.noise_scale, "candidates": self.candidates}
        elif task == "inpaint":
            given["noise_scale"] = self.noise_scale
        return {name: value for name, value in given.items() if value is not None}


def evaluate(folder: Path, where: str, out: Path, options: Options) -> list[TaskReport]:
    """Write the report of the bundle in ``folder`` to ``out``, and give its tasks.

    where: "aviary" or a data folder. Raises EvaluationError when there is nothing to evaluate.
    """
    bundle = Bundle.open(folder)
    tasks = select_tasks(bundle, options.tasks)
    if options.evaluators:
        require_judges(options.evaluators)
    data = open_held_out(where, bundle, options)
    if len(data.synthesis(2, _GLANCE)) < 2:  # before the work
        raise EvaluationError(
            f"{data.name} has fewer than 2 pictures in its split {data.split}; add photos, or hold "
            "out more of them (python -m models data check shows the splits)."
        )
    panel = load_panel(
        data,
        options.evaluators,
        options.inception,
        features=options.features,
        classifier=options.classifier,
    )
    reports = [_task(folder, t, data, panel, options) for t in tasks]
    write(out, reports, facts(bundle, data, panel, options), everything=options.save_images)
    return reports


def open_held_out(where: str, bundle: Bundle, options: Options) -> HeldOut:
    """The held-out split of the data set."""
    if options.split not in SPLITS:
        raise EvaluationError(f"--split is one of {', '.join(SPLITS)}, not {options.split!r}.")
    if where == "aviary":
        return HeldOutAviary(options.split, options.seed)
    size = options.size or max(spec.size for spec in bundle.tasks.values())
    return open_held_out_photos(where, size, options.split, options.seed)


def select_tasks(bundle: Bundle, wanted: tuple[str, ...]) -> list[str]:
    """The tasks to evaluate. Raises UnknownBundle when the bundle lacks one that was asked for."""
    for task in wanted:
        bundle.task(task)
        if task not in TASKS:
            raise EvaluationError(
                f"There is no evaluation of {task!r}, only of {', '.join(TASKS)}."
            )
    found = [t for t in TASKS if t in (wanted or bundle.tasks) and t in bundle.tasks]
    if not found:
        raise EvaluationError(f"Bundle {bundle.name!r} has no task that can be evaluated.")
    return found


def _task(folder: Path, task: str, data: HeldOut, panel: Panel, options: Options) -> TaskReport:
    started = time.monotonic()
    pipeline = load(folder, task, None, options.device)
    runner = Runner(pipeline, options.batch, options.size, options.serving(task))
    module = importlib.import_module(f"models.evaluation.{TASKS[task]}")
    evaluator: Callable[..., TaskReport] = module.evaluate
    report = evaluator(runner, data, panel, options.samples, options.seed)
    if len(report.cases) < 2:
        raise EvaluationError(
            f"{data.name} ({data.split}) has fewer than 2 samples for {task!r} with a caption that "
            "the bundle can read."
        )
    sys.stderr.write(f"{task}: {len(report.cases)} samples in {time.monotonic() - started:.0f} s\n")
    return report


def facts(bundle: Bundle, data: HeldOut, panel: Panel, options: Options) -> dict[str, Any]:
    """What the report says of itself; no path of this machine."""
    return {
        "bundle": bundle.name,
        "bundle_sha256": bundle.sha256,
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "split": data.split,
        "final": options.final,
        "pixels": options.size or "the network's own",
        "samples": options.samples,
        "seed": options.seed,
        "serving": {
            task: {**spec.serving, **options.serving(task)}
            for task, spec in bundle.tasks.items()
            if task in TASKS
        },
        "judges": panel.described(),
        "notes": list(panel.notes),
    }
