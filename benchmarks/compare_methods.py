"""``python -m benchmarks.compare_methods --data FOLDER --out FOLDER``: every method trained on the
same frozen encoders, split and number of pictures, evaluated on validation, on one page.

Stopped or killed, the same command goes on; what is finished is not done again, so that methods and
seeds can be added. All methods train by their presets for photos, on Aviary too, whose own presets
know what was drawn. The folder gets ``comparison.md``, its pictures and ``methods.json``;
``--ship`` writes them to docs and benchmarks/results, too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.method_page import page
from benchmarks.method_report import Budget, Trained, Trial, by_label, costs, outline, results
from benchmarks.method_sheets import draw_sheets
from docs.tools.provenance import record
from models.commands.arguments import new_folder, whole
from models.errors import ModelsError, Stopped
from models.evaluation.run import TASKS
from models.plan.plan import Plan
from models.plan.queue import Queue, QueueError
from models.plan.status import Workspace
from models.registry import method_folders
from models.training.config import preset_paths, read_preset
from models.training.parts import TASK_OF

_ROOT = Path(__file__).resolve().parents[1]
_WEIGHTS = _ROOT / "weights"
WARMUP = 10  # warm-ups take no more than this part of a run
# Rows that are a method with options of its own: its name, what is set.
VARIANTS = {
    "manigan-without-acm": ("manigan", ("combination=none",)),
    "manigan-concatenation": ("manigan", ("combination=concat",)),
    "manigan-without-main": ("manigan", ("modules=dcm",)),
    "manigan-without-dcm": ("manigan", ("modules=main",)),
    "tdanet-without-text": ("tdanet", ("text=false",)),
    "efficient-t2i-interpolated": ("efficient-t2i", ("interpolate=true", "loop.captions=3")),
}


def parts_of_methods() -> dict[str, str]:
    """Method -> the part of a bundle that trains it."""
    parts = {method: part for part, (task, method) in TASK_OF.items() if task in TASKS}
    by_task = {task: part for part, (task, _) in TASK_OF.items()}
    return parts | {name: by_task[folder.task] for name, folder in method_folders().items()}


def trial(label: str, seed: int, budget: Budget) -> Trial:
    """A row's training, of as many steps as the budget has pictures for."""
    method, own = VARIANTS.get(label, (label, ()))
    part, preset = parts_of_methods()[method], f"{method}-cub"
    preset = preset if preset in preset_paths() else "cub"
    values = read_preset(preset, part)
    batch = budget.batch or values["loop"]["batch"]
    steps = max(1, budget.pictures // batch)
    loop = {"seed": seed, "size": budget.size, "samples": budget.photos, "batch": batch}
    loop |= {"threads": budget.threads, "log_every": min(20, steps)}
    shorter = shortened(values, steps)
    overrides = (*(f"loop.{key}={value}" for key, value in loop.items()), *shorter, *own)
    begin = (preset, part, 1, "data", overrides, None, budget.encoders)
    return Trial(*begin, 0.0, steps, 0.0, budget.samples, label, None, seed, batch)


def shortened(values: Mapping[str, Any], steps: int) -> tuple[str, ...]:
    """What a preset counts in steps, made as much shorter as its warm-up must be to take a tenth of
    the run; nothing where that is long enough for it.
    """
    loop, options = values["loop"], values["options"]
    counted = {f"loop.{name}": loop[name] for name in ("warmup",) if loop.get(name)}
    names = ("warmup_steps", "reconstruction_until")
    counted |= {name: options[name] for name in names if options.get(name)}
    longest = max((counted[k] for k in counted if "warmup" in k), default=0)
    if longest * WARMUP <= steps:
        return ()
    return tuple(f"{k}={count * steps // (WARMUP * longest)}" for k, count in counted.items())


def compare(out: Path, budget: Budget, trials: list[Trial], *, train: bool, ship: bool) -> str:
    """Train and evaluate what is missing, and write the page; returns what is missing or failed, in
    words.

    Raises ModelsError when ``out`` holds a comparison of another budget, Stopped after a signal.
    """
    _keep_budget(out / "budget.json", budget.described)
    workspace = Workspace(Plan(tuple(trials)), out / "runs", out / "runs")
    failed = ""
    try:
        if train:
            Queue(workspace, {"data": budget.data}).work()
    except QueueError as error:
        failed = str(error)
    done = [(one, workspace.run(one)) for one in trials if workspace.status(one).done]
    if not failed and len(done) < len(trials):
        failed = f"{len(done)} of {len(trials)} trainings are done; the same command does the rest."
    for _, run in done:
        outline(run, budget)
    found = [Trained(one, run, costs(run, budget)) for one, run in done]
    _write(out, out, out / "pictures", budget, found, failed)
    if ship:
        docs = _ROOT / "docs"
        _write(docs, _ROOT / "benchmarks/results", docs / "pictures", budget, found, failed)
        record((docs / "pictures").glob("compare-*"), ())
    return failed


def _write(
    text: Path, numbers: Path, pictures: Path, budget: Budget, done: list[Trained], failed: str
) -> None:
    """The page, its numbers and its pictures, each into its folder."""
    rows = by_label(done)
    measured = results(budget, rows, failed)
    written = json.dumps(measured, indent=1, ensure_ascii=False)
    written = re.sub(r"\{\s+\"value\"[^{}]*\}", lambda cell: " ".join(cell[0].split()), written)
    (numbers / "methods.json").write_text(written + "\n", encoding="utf-8")
    (text / "comparison.md").write_text(page(measured), encoding="utf-8")
    draw_sheets(pictures, budget, rows)


def _keep_budget(path: Path, described: dict[str, object]) -> None:
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != described:
        raise ModelsError(
            f"{path.parent} holds a comparison of another budget (budget.json); repeat its options "
            "or choose another --out."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _parse(words: list[str] | None) -> argparse.Namespace:
    names = [*parts_of_methods(), *VARIANTS]
    parser = argparse.ArgumentParser(prog="compare_methods", description=__doc__)
    parser.add_argument("--data", default="aviary", help="aviary, or a data folder")
    parser.add_argument("--out", type=new_folder, required=True, help="goes on with what is there")
    parser.add_argument("--encoders", type=Path, help="bundle (default: weights/cub or aviary)")
    parser.add_argument("--pictures", type=whole(1), default=256_000, help="that a training sees")
    parser.add_argument("--photos", type=whole(0), default=0, help="different ones; 0 for all")
    parser.add_argument("--size", type=whole(1), default=64, help="pixels")
    parser.add_argument("--batch", type=whole(0), default=0, help="of a step; 0 as in the presets")
    parser.add_argument("--seeds", type=whole(1), default=3, help="trainings of each row")
    parser.add_argument("--samples", type=whole(2), default=1000, help="evaluated, each task")
    parser.add_argument("--report", action="store_true", help="of what is done; train nothing")
    parser.add_argument("--ship", action="store_true", help="write docs and results, too")
    parser.add_argument("--methods", nargs="+", default=names, choices=names, metavar="METHOD")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    a = _parse(words)
    encoders = (a.encoders or _WEIGHTS / ("aviary" if a.data == "aviary" else "cub")).resolve()
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    budget = Budget(a.data, encoders, a.pictures, a.photos, a.size, a.samples, a.batch, threads)
    trials = [trial(x, seed, budget) for seed in range(a.seeds) for x in a.methods]
    try:
        failed = compare(a.out.resolve(), budget, trials, train=not a.report, ship=a.ship)
    except Stopped as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    except ModelsError as error:
        failed = str(error)
    sys.stderr.write(f"error: {failed}\n" if failed else f"wrote {a.out / 'comparison.md'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
