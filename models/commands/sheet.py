"""``python -m models sheet BUNDLE --out sheet.webp``: the first pictures that a bundle makes of
held-out captions and photos, as they come.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import device, new_picture, whole


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a bundle, or a run's folder")
    parser.add_argument("--data", default="aviary", help="aviary, or a data folder")
    parser.add_argument("--out", type=new_picture, required=True, help="a .webp or .png file")
    parser.add_argument("--count", type=whole(1), default=64, help="pictures")
    parser.add_argument("--split", default="validation", choices=("test", "validation"))
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run(arguments: argparse.Namespace) -> None:
    from models.plan.sheet import draw_sheet
    from models.runtime.device import best_device

    a = arguments
    draw_sheet(a.source, a.data, a.out, a.count, a.split, best_device(a.device))
    sys.stderr.write(f"wrote {arguments.out}\n")
