"""``python -m models train PART --preset P --out RUN``: one part of a bundle, trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=("damsm", "synthesis", "manipulation", "inpainting"))
    parser.add_argument("--preset", default="aviary")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes what is there")
    parser.add_argument(
        "--encoders", type=Path, help="bundle that holds the text and image encoders"
    )
    parser.add_argument("--minutes", type=float, help="stop after so many minutes of training")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument(
        "--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, or auto")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from models.data.aviary_set import Aviary
    from models.pipeline import best_device
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
    device = torch.device(best_device(arguments.device))
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
