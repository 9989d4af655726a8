"""``python -m models enlarge BUNDLE --data DATA``: a bundle's detail stage beside bicubic
enlargement, on held-out pictures at 256 pixels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.commands.arguments import new_picture, whole


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="a bundle that holds a detail stage")
    parser.add_argument("--data", default="aviary", help="a data set's folder, or aviary")
    parser.add_argument(
        "--count", type=whole(1), default=64, help="pictures of the validation split"
    )
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=whole(1), default=1)
    parser.add_argument(
        "--sheet", type=new_picture, help="picture to write: a row for each, real last"
    )


def run(arguments: argparse.Namespace) -> None:
    import torch

    from models.bundle import Bundle
    from models.detail.stage import open_network
    from models.evaluation.enlarging import (
        bicubic,
        by_network,
        held_out,
        measure,
        rows_of_pictures,
        table,
    )

    torch.set_num_threads(arguments.threads)
    network = open_network(Bundle.open(arguments.bundle))
    scale, precision = network.config.scale, arguments.precision
    ways = {"bicubic": bicubic(scale), "detail stage": by_network(network, precision)}
    real = held_out(arguments.data, arguments.count, 64 * scale)
    sys.stdout.write(table(measure(ways, real, scale)))
    if arguments.sheet:
        rows_of_pictures(list(ways.values()), real, scale, 8).save(arguments.sheet)
        sys.stderr.write(f"wrote {arguments.sheet}: {', '.join(ways)}, real\n")
