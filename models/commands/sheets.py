"""Sheets of pictures that a bundle makes, and what it learns from how people rate them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import device, new_folder, number, whole


def add_sheets(parser: argparse.ArgumentParser) -> None:
    """Sheets of 64 pictures that a bundle makes of training captions: for people to rate (beside
    each NAME.webp goes a NAME.txt with 8 lines of 8 ratings from 0 to 9), or for its detail stage
    to learn from."""
    add = parser.add_argument
    add("bundle", type=Path, help="folder, such as weights/cub")
    add("--data", required=True, help="a data folder, for its training captions")
    add("--out", type=new_folder, required=True, help="folder to write")
    add("--sheets", type=whole(1), default=8, help="default: 8")
    add("--noise-scale", type=number(least=0, most=2), default=0.9, help="default: 0.9")
    add("--candidates", type=whole(1, 16), default=1, help="of which the best is kept (default: 1)")
    add("--seed", type=whole(0), default=0)
    add("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run_sheets(arguments: argparse.Namespace) -> None:
    from models.runtime.device import best_device
    from models.training.sheets import SheetOptions, draw_sheets

    a = arguments
    options = SheetOptions(a.sheets, a.noise_scale, a.candidates, a.seed, best_device(a.device))
    draw_sheets(a.bundle, a.data, a.out, options)
    sys.stderr.write(f"wrote {a.out}\n")


def add_ratings(parser: argparse.ArgumentParser) -> None:
    """Teach a bundle how people rate pictures, for instance by how whole the bird is, so that it
    chooses among candidates as they would."""
    add = parser.add_argument
    add("bundle", type=Path, help="folder, such as weights/cub; it is changed")
    add("rated", type=Path, help="folder of sheets with their ratings")
    add(
        "--weight",
        type=number(least=0),
        default=0.3,
        help="of the step from the lowest rating to the highest, beside the caption's cosine",
    )
    add("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run_ratings(arguments: argparse.Namespace) -> None:
    from models.runtime.device import best_device
    from models.training.ratings import learn_ratings

    a = arguments
    found = learn_ratings(a.bundle, a.rated, a.weight, best_device(a.device))
    sys.stdout.write(f"correlation with ratings that were held out: {found:.3f}\n")
