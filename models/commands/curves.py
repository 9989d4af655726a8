"""``python -m models curves RUN …``: the loss curves of a run, or of several that continue each
other, as one figure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_picture


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", help="run folders in their order")
    parser.add_argument("--out", type=new_picture, required=True, help="a .webp or .png file")
    parser.add_argument("--title", default="", help="the bundle, as weights/aviary")


def run(arguments: argparse.Namespace) -> None:
    from models.errors import ModelsError
    from models.training.curves import Curves, draw

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    curves = Curves.of(arguments.runs, arguments.title)
    if not curves.values:
        raise ModelsError("These runs have logged no losses yet.")
    draw(curves, arguments.out)
    sys.stderr.write(f"wrote {arguments.out}\n")
