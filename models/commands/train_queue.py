"""``python -m models train-queue PLAN``: work through a training plan, stage by stage. Stopped,
however it was, the same command goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from models.commands.arguments import new_folder, whole

_ROOT = Path(__file__).resolve().parents[2]


def add_train_queue(parser: argparse.ArgumentParser) -> None:
    """Work through a training plan, stage by stage. Stopped, however it was, the same command goes
    on."""
    add = parser.add_argument
    add("plan", type=Path, nargs="?", default=_ROOT / "weights" / "plan.toml", help="a TOML file")
    add("--runs", type=new_folder, default=state_folder(), help="folder of run folders")
    add(
        "--data",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="where a data set lies; stages of others are left out",
    )
    add(
        "--weights",
        type=Path,
        default=_ROOT / "weights",
        help="committed bundles, after whose stages a new machine goes on",
    )
    add("--most", type=whole(0), default=0, help="end after so many stages, 0 for all")
    add("--list", action="store_true", help="print how far each stage is, and end")


def run_train_queue(arguments: argparse.Namespace) -> None:
    from models.plan.plan import PlanError, read_plan
    from models.plan.queue import Queue
    from models.plan.status import Workspace, table

    plan = read_plan(arguments.plan)
    workspace = Workspace(plan, arguments.runs.resolve(), arguments.weights.resolve())
    if arguments.list:
        sys.stdout.write(table(workspace) + "\n")
        return
    named = {stage.data for stage in plan.stages}
    data = dict(_parse_data(text) for text in arguments.data)
    if unknown := sorted(data.keys() - named):
        raise PlanError(
            f"The plan names no data set {', '.join(unknown)}; it names {', '.join(sorted(named))}."
        )
    if Queue(workspace, data).work(arguments.most):
        sys.stderr.write(
            "Nothing is left that can be done here; --list says what waits for what.\n"
        )


def _parse_data(text: str) -> tuple[str, str]:
    from models.plan.plan import PlanError

    name, sep, folder = text.partition("=")
    if not (sep and name and Path(folder).is_dir()):
        raise PlanError(f"--data needs NAME=FOLDER with a folder that is there, got {text!r}.")
    return name, str(Path(folder).resolve())


def state_folder() -> Path:
    """Where run folders lie unless somebody says otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "mmml" / "runs"
