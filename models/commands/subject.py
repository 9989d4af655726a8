"""``python -m models subject BUNDLE --data DIR``: teach a bundle what its subject looks like (a
bird, a flower), so that it chooses whole ones among candidates.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import device, number, whole


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder, such as weights/cub; it is changed")
    parser.add_argument("--data", required=True, help="a data folder, for its training captions")
    parser.add_argument("--pictures", type=whole(2), default=2000, help="made to learn from")
    parser.add_argument(
        "--weight",
        type=number(least=0),
        default=0.05,
        help="of the log-odds beside the caption's cosine",
    )
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run(arguments: argparse.Namespace) -> None:
    from models.runtime.device import best_device
    from models.training.subject import Options, teach_subject

    options = Options(
        arguments.pictures, arguments.weight, arguments.seed, best_device(arguments.device)
    )
    found = teach_subject(arguments.bundle, arguments.data, options)
    sys.stdout.write(f"correlation with the classifier, on captions held out: {found:.3f}\n")
