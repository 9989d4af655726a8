"""``python -m models train PART --preset P --out RUN``: one part of a bundle, trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.training.batch import TrainingData
    from models.training.config import LoopOptions
    from models.training.parts import Encoders


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=("damsm", "synthesis", "manipulation", "inpainting"))
    parser.add_argument("--preset", default="aviary")
    parser.add_argument("--data", default="aviary", help="a data set's folder, or aviary")
    parser.add_argument("--prepared", type=Path, help="folder written by: data prepare")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes what is there")
    parser.add_argument(
        "--encoders",
        type=Path,
        help="bundle that holds the text and image encoders; the preset's own, where it has one",
    )
    parser.add_argument("--init", type=Path, help="bundle to start from, its sizes and encoders")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes of training")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--config", type=Path, help="TOML file laid over the preset")
    parser.add_argument(
        "--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, or auto")


def run(arguments: argparse.Namespace) -> None:
    import torch

    from models.training.config import (
        LoopOptions,
        build,
        merge_file,
        override,
        preset_encoders,
        read_preset,
        with_limits,
    )
    from models.training.loop import Loop, build_fabric
    from models.training.parts import PARTS, Encoders, initialise, save, sizes_in
    from models.training.run import Run
    from models.training.version import code_version

    part, version = arguments.part, code_version()
    sys.stderr.write(f"training code: {version['source']} at {version['commit']}\n")
    values = read_preset(arguments.preset, part)
    if arguments.init:
        for name, sizes in sizes_in(arguments.init, part, values["options"]).items():
            values[name] |= sizes
    if arguments.config:
        merge_file(values, arguments.config, part)
    override(values, arguments.assignments)
    loop = with_limits(
        build(LoopOptions, values["loop"], "loop"), arguments.minutes, arguments.steps
    )
    torch.set_num_threads(loop.threads)
    fabric = build_fabric(loop, arguments.device)
    fabric.launch()
    torch.manual_seed(loop.seed)
    source = arguments.encoders or arguments.init or preset_encoders(arguments.preset)
    encoders = Encoders(source) if source and part != "damsm" else None
    data = _data(arguments, loop, encoders)
    objective = PARTS[part](values["options"], data, encoders)
    if arguments.init:
        initialise(objective, part, arguments.init, data.vocabulary)
    run = Run(arguments.out)
    if fabric.is_global_zero:
        run.write_options(_record(arguments, values["options"], loop, data, encoders))
    averaged = Loop(objective, data, part, loop, run, fabric).train()
    if fabric.is_global_zero:
        run.clear_bundle()
        save(run.bundle, part, objective, averaged, data, encoders)
        sys.stderr.write(f"wrote {run.bundle}\n")


def _data(
    arguments: argparse.Namespace, loop: LoopOptions, encoders: Encoders | None
) -> TrainingData:
    """The training split, its captions in the encoders' words where there are encoders."""
    from models.data.opening import open_data

    return open_data(
        arguments.data,
        size=loop.size,
        split="train",
        vocabulary=encoders.vocabulary if encoders else None,
        captions=loop.captions if arguments.part in ("synthesis", "damsm") else 0,
        limit=loop.samples or None,
        prepared=arguments.prepared,
    )


def _record(
    arguments: argparse.Namespace,
    options: dict[str, Any],
    loop: LoopOptions,
    data: TrainingData,
    encoders: Encoders | None,
) -> dict[str, Any]:
    """Everything that a run depends on, for its folder."""
    from models.training.config import as_json
    from models.training.version import code_version

    return {
        "part": arguments.part,
        "preset": arguments.preset,
        "data": {"name": data.name, "fingerprint": data.fingerprint, "samples": len(data)},
        "encoders": encoders.sha256 if encoders else "",
        "init": str(arguments.init or ""),
        "loop": as_json(loop),
        "options": options,
        "version": code_version(),
    }
