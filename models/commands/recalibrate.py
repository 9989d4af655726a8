"""``python -m models recalibrate BUNDLE --data DIR --out BUNDLE``: synthesis with batch statistics
estimated again, as Efficient-T2I's authors do before they score a checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_folder, whole


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder, such as weights/bird")
    parser.add_argument("--data", required=True, help="a data folder, for its training captions")
    parser.add_argument(
        "--out", type=new_folder, required=True, help="folder to write: weights/NAME"
    )
    parser.add_argument("--passes", type=whole(1), default=100, help="batches (default: 100)")
    parser.add_argument("--batch", type=whole(1), default=8, help="captions of each (default: 8)")
    parser.add_argument("--seed", type=whole(0), default=0)


def run(arguments: argparse.Namespace) -> None:
    from models.synthesis.efficient_t2i.official import recalibrate_bundle

    made = recalibrate_bundle(
        arguments.bundle,
        arguments.data,
        arguments.out,
        passes=arguments.passes,
        batch=arguments.batch,
        seed=arguments.seed,
    )
    sys.stderr.write(f"wrote {made.folder}\n")
