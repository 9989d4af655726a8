"""``python -m models judge``: train the networks that judge, apart from everything judged."""

from __future__ import annotations

import argparse
import sys

from models.commands.arguments import new_folder, number, whole


def add_judge(parser: argparse.ArgumentParser) -> None:
    """Train the networks that judge, apart from everything judged."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    encoders = kinds.add_parser("encoders", help="text and image encoders behind sim, R-precision")
    encoders.add_argument("--minutes", type=number(above=0), default=10.0)
    encoders.add_argument("--steps", type=whole(0), default=0, help="instead of minutes")
    encoders.add_argument(
        "--out", type=new_folder, required=True, help="folder, such as weights/judges"
    )
    encoders.add_argument("--data", default="aviary", help="aviary, or a data folder")
    encoders.add_argument("--size", type=whole(0), default=0, help="side of the pictures in pixels")


def run_judge(arguments: argparse.Namespace) -> None:
    from models.evaluation.encoders_training import EncoderOptions, train_encoders

    options = EncoderOptions(minutes=arguments.minutes, steps=arguments.steps, size=arguments.size)
    sys.stdout.write(f"wrote {train_encoders(arguments.data, options, arguments.out)}\n")
