"""Teach a bundle how people rate pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import device, number


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
