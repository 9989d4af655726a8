"""``python -m models forward``: tensors straight to a bundle's networks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from models.commands.arguments import device, new_file
from models.errors import ModelsError


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path)
    parser.add_argument("task")
    parser.add_argument("inputs", type=Path, help=".npz file")
    parser.add_argument("outputs", type=new_file, help=".npz file to write")
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda, cuda:1, or auto")


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from models.forward import run as forward
    from models.runtime.device import best_device

    try:
        with np.load(arguments.inputs) as stored:
            inputs = dict(stored)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ModelsError(f"{arguments.inputs} can't be read as an .npz file: {error}") from error
    device = best_device(arguments.device)
    outputs: dict[str, Any] = forward(arguments.bundle, arguments.task, inputs, device)
    np.savez(arguments.outputs, **outputs)
