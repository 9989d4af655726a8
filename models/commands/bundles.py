"""Bundles: parts of several in one, tensors to the networks, what is estimated later."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from models.commands.arguments import device, new_file, new_folder, whole
from models.errors import ModelsError


def add_collect(parser: argparse.ArgumentParser) -> None:
    """The parts of several runs in one bundle."""
    add = parser.add_argument
    add("bundle", type=new_folder, help="folder to write, such as weights/mine")
    add("runs", type=Path, nargs="+", help="bundles that training runs left")
    add("--half", action="store_true", help="round to float16, which halves the files")
    add(
        "--training-state",
        action="store_true",
        help="also copy discriminators and optimisers, which train --init goes on from",
    )


def run_collect(arguments: argparse.Namespace) -> None:
    from models.checkpoints.collect import collect

    a = arguments
    made = collect(a.bundle, a.runs, half=a.half, training_state=a.training_state)
    sys.stderr.write(f"wrote {made.folder}: {', '.join(sorted(made.tasks))}\n")


def add_forward(parser: argparse.ArgumentParser) -> None:
    """Tensors straight to a bundle's networks."""
    parser.add_argument("bundle", type=Path)
    parser.add_argument("task")
    parser.add_argument("inputs", type=Path, help=".npz file")
    parser.add_argument("outputs", type=new_file, help=".npz file to write")
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run_forward(arguments: argparse.Namespace) -> None:
    import numpy as np

    from models.forward import run as forward
    from models.runtime.device import best_device

    try:
        with np.load(arguments.inputs) as stored:
            inputs = dict(stored)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        why = error if isinstance(error, OSError) else "it is none, or holds objects"
        raise ModelsError(f"{arguments.inputs} can't be read as an .npz file: {why}.") from error
    device = best_device(arguments.device)
    outputs: dict[str, Any] = forward(arguments.bundle, arguments.task, inputs, device)
    arguments.outputs.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.outputs, **outputs)


def add_recalibrate(parser: argparse.ArgumentParser) -> None:
    """Synthesis with batch statistics estimated again, as Efficient-T2I's authors do before they
    score a checkpoint."""
    add = parser.add_argument
    add("bundle", type=Path, help="folder, such as weights/bird")
    add("--data", required=True, help="a data folder, for its training captions")
    add("--out", type=new_folder, required=True, help="folder to write: weights/NAME")
    add("--passes", type=whole(1), default=100, help="batches (default: 100)")
    add("--batch", type=whole(1), default=8, help="captions of each (default: 8)")
    add("--seed", type=whole(0), default=0)


def run_recalibrate(arguments: argparse.Namespace) -> None:
    from models.synthesis.efficient_t2i.official import recalibrate_bundle

    a = arguments
    given = {"passes": a.passes, "batch": a.batch, "seed": a.seed}
    made = recalibrate_bundle(a.bundle, a.data, a.out, **given)
    sys.stderr.write(f"wrote {made.folder}\n")
