"""``mmml train-bundle FOLDER``: somebody's own photos to a bundle that is served."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from models.commands.arguments import Wrong, new_folder, number
from models.commands.train_queue import state_folder

_ROOT = Path(__file__).resolve().parents[2]
_TASKS = ("synthesize", "manipulate", "inpaint")


def add_train_bundle(parser: argparse.ArgumentParser) -> None:
    """Your own photos to your own bundle: checks them, trains encoders and tasks one after the
    other, and puts the result where it is served. Stopped, however it was, the same command goes
    on; with more --hours it trains further (docs/own-photos.md)."""
    add = parser.add_argument
    add("folder", type=Path, help="photos, each with a .txt of its name beside it")
    add("--hours", type=number(above=0), default=5.0, help="in all (default: 5)")
    add("--tasks", type=_tasks, default=_TASKS, help=f"some of {','.join(_TASKS)} (default: all)")
    add(
        "--into",
        type=new_folder,
        help="the bundle's folder (default: of the photos' name, in the folder of the weights)",
    )
    add("--init", type=Path, help="a bundle to begin with, such as weights/cub")
    add("--domain", default="", help="what the photos show, for the catalogue")
    add("--licence", default="", help="what others may do with the bundle")
    add("--runs", type=new_folder, help="folder of what the training keeps")
    add(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="[PART.]KEY=VALUE",
        help="change an option of the preset, as of the command train",
    )


def run_train_bundle(arguments: argparse.Namespace) -> None:
    from models.data.check import check, lines
    from models.data.sources import open_listing
    from models.plan.own_photos import Options, require_enough, train_bundle

    folder = arguments.folder.resolve()
    weights = Path(os.environ.get("MMML_WEIGHTS_DIR") or _ROOT / "weights")
    into = arguments.into or weights / _name(folder)
    runs = arguments.runs or state_folder() / "own" / into.name
    found = check(open_listing(folder))
    sys.stderr.write("\n".join(lines(found)) + "\n")
    require_enough(found)
    sys.stderr.write(
        f"trains {', '.join(arguments.tasks)} for {arguments.hours:g} hours in all; keeps {runs}\n"
    )
    a, init = arguments, arguments.init.resolve() if arguments.init else None
    asked = a.hours, a.tasks, a.assignments, init, a.domain, a.licence
    train_bundle(Options(folder, into.resolve(), runs.resolve(), *asked), found)


def _tasks(text: str) -> tuple[str, ...]:
    named = text.split(",")
    if unknown := [name for name in named if name not in _TASKS]:
        raise Wrong(f"there is no task {unknown[0]!r}; there are {', '.join(_TASKS)}")
    return tuple(name for name in _TASKS if name in named)


def _name(folder: Path) -> str:
    """The folder's name in letters that a bundle's may have."""
    return re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-") or "own"
