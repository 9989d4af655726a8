"""``python -m models train PART --preset aviary --out RUN``: the training entry point."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.allocator import reexec_tuned
from models.errors import ModelsError

if TYPE_CHECKING:
    import torch


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train one part and write RUN/bundle")
    train.add_argument("part", choices=("damsm", "synthesis", "manipulation", "inpainting"))
    train.add_argument("--preset", default="aviary")
    train.add_argument("--out", type=Path, required=True, help="run folder; resumes what is there")
    train.add_argument(
        "--encoders", type=Path, help="bundle that holds the text and image encoders"
    )
    train.add_argument("--minutes", type=float, help="stop after so many minutes of training")
    train.add_argument("--steps", type=int, help="stop after so many steps")
    train.add_argument(
        "--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE"
    )
    train.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, or auto")
    return parser


def _train(arguments: argparse.Namespace) -> None:
    import torch

    from models.data.aviary_set import Aviary
    from models.training.config import (
        LoopOptions,
        as_json,
        build,
        override,
        read_preset,
        with_limits,
    )
    from models.training.loop import Loop
    from models.training.parts import PARTS, Encoders, save
    from models.training.run import Run

    values = read_preset(arguments.preset, arguments.part)
    override(values, arguments.assignments)
    loop = with_limits(
        build(LoopOptions, values["loop"], "loop"), arguments.minutes, arguments.steps
    )
    torch.set_num_threads(loop.threads)
    torch.manual_seed(loop.seed)
    device = _device(arguments.device)
    encoders = Encoders(arguments.encoders) if arguments.encoders else None
    if encoders:
        encoders.text.to(device)
        encoders.image.to(device)
    data = Aviary(loop.size, loop.samples)
    objective = PARTS[arguments.part](values["options"], data, encoders)
    run = Run(arguments.out)
    run.write_options({"part": arguments.part, "loop": as_json(loop), "options": values["options"]})
    averaged = Loop(objective, data, arguments.part, loop, run, device).train()
    save(run.bundle, arguments.part, objective, averaged, data, encoders)
    sys.stderr.write(f"wrote {run.bundle}\n")


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def main() -> None:
    arguments = _parser().parse_args()
    reexec_tuned("models")
    try:
        _train(arguments)
    except ModelsError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
