"""``python -m models export``: a bundle's task in its authors' file layout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_folder


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--layout", required=True, choices=("manigan", "tdanet", "efficient-t2i"))
    parser.add_argument("--out", type=new_folder, required=True, help="folder to write")


def run(arguments: argparse.Namespace) -> None:
    from models.checkpoints.exporter import export

    for path in export(arguments.bundle, arguments.layout, arguments.out):
        sys.stderr.write(f"wrote {path}\n")
