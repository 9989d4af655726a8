"""``python -m models collect``: the parts of several runs in one bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_folder


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=new_folder, help="folder to write, such as weights/mine")
    parser.add_argument("runs", type=Path, nargs="+", help="bundles that training runs left")
    parser.add_argument(
        "--half", action="store_true", help="round to float16, which halves the files"
    )
    parser.add_argument(
        "--training-state",
        action="store_true",
        help="also copy discriminators and optimisers, which train --init goes on from",
    )


def run(arguments: argparse.Namespace) -> None:
    from models.checkpoints.collect import collect

    made = collect(
        arguments.bundle,
        arguments.runs,
        half=arguments.half,
        training_state=arguments.training_state,
    )
    sys.stderr.write(f"wrote {made.folder}: {', '.join(sorted(made.tasks))}\n")
