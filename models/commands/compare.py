"""``python -m models compare A B``: two evaluations beside each other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_folder


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, help="folder that evaluate wrote")
    parser.add_argument("b", type=Path, help="another one")
    parser.add_argument("--out", type=new_folder, help="folder for compare.html and compare.json")


def run(arguments: argparse.Namespace) -> None:
    from models.evaluation.compare import compare

    sys.stdout.write(compare(arguments.a, arguments.b, arguments.out))
