"""Held-out pictures and captions: what a bundle can do with them, and the networks that say so."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

from models.commands.arguments import device, new_folder, new_picture, number, whole


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """What a bundle can do, measured on pictures and captions that it never saw."""
    add = parser.add_argument
    add("bundle", type=Path, help="folder, such as weights/aviary")
    add("--data", default="aviary", help="aviary, or a data folder")
    add("--out", type=new_folder, required=True, help="folder for the report")
    add("--tasks", nargs="+", default=[], help="synthesize manipulate inpaint (default: all)")
    add("--samples", type=whole(2), default=1000, help="per task and kind of mask")
    add("--split", choices=("validation", "test"), help="default: validation; see --final")
    add("--final", action="store_true", help="the split test, when nothing is chosen any more")
    add("--size", type=whole(0), default=0, help="pixels (default: the network's own)")
    add("--seed", type=whole(0), default=0)
    add("--batch", type=whole(1), default=16, help="pictures per forward")
    add(
        "--noise-scale",
        type=number(least=0, most=2),
        help="of synthesis and of PICNet: 0 is the mean (default: as the bundle serves)",
    )
    add("--candidates", type=whole(1, 16), help="the same")
    add(
        "--fidelity",
        choices=("network", "photo"),
        help="of edits and fills (default: as the bundle serves)",
    )
    add("--judges", dest="evaluators", type=Path, help="folder of judging networks")
    add("--inception", type=Path, help="official Inception-v3 weights (.pth)")
    add(
        "--no-features",
        dest="features",
        action="store_false",
        help="leave out KID, FID, IS and ImageNet classes",
    )
    add(
        "--classifier",
        default="lite2",
        choices=("lite2", "lite0"),
        help="that sees birds and flowers: lite2 reports, lite0 is for choosing",
    )
    add("--save-images", action="store_true", help="every picture, not only grids")
    add("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run_evaluate(arguments: argparse.Namespace) -> None:
    from models.evaluation.report import table
    from models.evaluation.run import FINAL, Options, evaluate
    from models.runtime.device import best_device

    split = arguments.split or (FINAL if arguments.final else "validation")
    if split == FINAL and not arguments.final:
        sys.stderr.write("--split test without --final: choose nothing by these numbers.\n")
    options = replace(
        Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)}),
        tasks=tuple(arguments.tasks),
        split=split,
        final=split == FINAL and arguments.final,
        device=best_device(arguments.device),
    )
    for report in evaluate(arguments.bundle, arguments.data, arguments.out, options):
        sys.stdout.write(f"{report.task}, split {split}:\n{table(report)}\n\n")
    sys.stderr.write(f"wrote {arguments.out / 'report.html'}\n")


def add_sheet(parser: argparse.ArgumentParser) -> None:
    """The first pictures that a bundle makes of held-out captions and photos, as they come."""
    parser.add_argument("source", type=Path, help="a bundle, or a run's folder")
    parser.add_argument("--data", default="aviary", help="aviary, or a data folder")
    parser.add_argument("--out", type=new_picture, required=True, help="a .webp or .png file")
    parser.add_argument("--count", type=whole(1), default=64, help="pictures")
    parser.add_argument("--split", default="validation", choices=("test", "validation"))
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run_sheet(arguments: argparse.Namespace) -> None:
    from models.plan.sheet import draw_sheet
    from models.runtime.device import best_device

    a = arguments
    draw_sheet(a.source, a.data, a.out, a.count, a.split, best_device(a.device))
    sys.stderr.write(f"wrote {a.out}\n")


def add_enlarge(parser: argparse.ArgumentParser) -> None:
    """A bundle's detail stage beside bicubic enlargement, on held-out pictures at 256 pixels."""
    add = parser.add_argument
    add("bundle", type=Path, help="a bundle that holds a detail stage")
    add("--data", default="aviary", help="a data set's folder, or aviary")
    add("--count", type=whole(1), default=64, help="pictures of the validation split")
    add("--precision", default="float32", choices=("float32", "bfloat16"))
    add("--threads", type=whole(1), default=1)
    add("--sheet", type=new_picture, help="picture to write: a row for each, real last")


def run_enlarge(arguments: argparse.Namespace) -> None:
    import torch

    from models.bundle import Bundle
    from models.detail.stage import open_network
    from models.evaluation import enlarging

    torch.set_num_threads(arguments.threads)
    network = open_network(Bundle.open(arguments.bundle))
    scale, precision = network.config.scale, arguments.precision
    ways = {
        "bicubic": enlarging.bicubic(scale),
        "detail stage": enlarging.by_network(network, precision),
    }
    real = enlarging.held_out(arguments.data, arguments.count, 64 * scale)
    sys.stdout.write(enlarging.table(enlarging.measure(ways, real, scale)))
    if arguments.sheet:
        arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
        page = enlarging.rows_of_pictures(list(ways.values()), real, scale, 8)
        page.save(arguments.sheet)
        sys.stderr.write(f"wrote {arguments.sheet}: {', '.join(ways)}, real\n")


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
