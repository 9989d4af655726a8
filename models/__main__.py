"""``python -m models train PART --preset aviary --out RUN``: the training entry point.

``python -m models draw --out bird.png`` draws one of the birds that the demo bundle learns from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.allocator import reexec_tuned
from models.data.aviary import PARTS
from models.errors import ModelsError

if TYPE_CHECKING:
    import torch

# method -> the published files that ``import`` takes
IMPORT_FILES = {
    "manigan": ("main", "dcm", "text-encoder", "image-encoder", "vgg", "captions"),
    "tdanet": ("encoder", "generator", "text-encoder", "captions"),
    "efficient-t2i": ("generator", "text-encoder", "captions"),
    "damsm": ("text-encoder", "image-encoder", "captions"),
}
OPTIONAL_FILES = ("vgg",)


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
    draw = commands.add_parser("draw", help="draw a bird and print its captions")
    draw.add_argument("--split", default="test")
    draw.add_argument("--index", type=int, default=0)
    draw.add_argument("--size", type=int, default=512, help="side in pixels")
    draw.add_argument("--out", type=Path, required=True)
    draw.add_argument("--mask", type=Path, help="also write a mask around --part")
    draw.add_argument("--part", default="crown", choices=PARTS)
    put = commands.add_parser("collect", help="put the parts of several runs into one bundle")
    put.add_argument("bundle", type=Path, help="folder to write, such as weights/mine")
    put.add_argument("runs", type=Path, nargs="+", help="bundles that training runs left")
    raw = commands.add_parser("forward", help="feed tensors straight to the networks")
    raw.add_argument("bundle", type=Path)
    raw.add_argument("task")
    raw.add_argument("inputs", type=Path, help=".npz file")
    raw.add_argument("outputs", type=Path, help=".npz file to write")
    raw.add_argument("--device", default="auto")
    back = commands.add_parser("export", help="a bundle's task in its authors' file layout")
    back.add_argument("bundle", type=Path)
    back.add_argument("--layout", required=True, choices=("manigan", "tdanet", "efficient-t2i"))
    back.add_argument("--out", type=Path, required=True, help="folder to write")
    brought = commands.add_parser("import", help="official checkpoints to a bundle")
    methods = brought.add_subparsers(dest="method", required=True)
    for method, roles in IMPORT_FILES.items():
        one = methods.add_parser(method)
        for role in roles:
            one.add_argument(f"--{role}", type=Path, required=role not in OPTIONAL_FILES)
        one.add_argument(
            "--out", type=Path, required=True, help="bundle folder, such as weights/bird"
        )
    return parser


def _forward(arguments: argparse.Namespace) -> None:
    import numpy as np

    from models.forward import run

    try:
        with np.load(arguments.inputs) as stored:
            inputs = dict(stored)
    except (OSError, ValueError) as error:
        raise ModelsError(f"{arguments.inputs} can't be read as an .npz file: {error}") from error
    device = str(_device(arguments.device))
    outputs: dict[str, Any] = run(arguments.bundle, arguments.task, inputs, device)
    np.savez(arguments.outputs, **outputs)


def _export(arguments: argparse.Namespace) -> None:
    from models.imports.export import export

    for path in export(arguments.bundle, arguments.layout, arguments.out):
        sys.stderr.write(f"wrote {path}\n")


def _import(arguments: argparse.Namespace) -> None:
    from models.imports.methods import IMPORTS

    given = {
        role: getattr(arguments, role.replace("-", "_")) for role in IMPORT_FILES[arguments.method]
    }
    files = {role: path for role, path in given.items() if path is not None}
    bundle = IMPORTS[arguments.method](files, arguments.out)
    sys.stderr.write(f"wrote {bundle.folder}: {', '.join(sorted(bundle.tasks))}\n")


def _collect(arguments: argparse.Namespace) -> None:
    from models.collect import collect

    made = collect(arguments.bundle, arguments.runs)
    sys.stderr.write(f"wrote {made.folder}: {', '.join(sorted(made.tasks))}\n")


def _draw(arguments: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    from models.data.aviary import bird, generator, layers, render
    from models.data.aviary_captions import captions
    from models.data.masks import around

    sample = bird(arguments.split, arguments.index)
    source = generator(arguments.split, arguments.index)
    render(sample, arguments.size).save(arguments.out)
    if arguments.mask:
        plane = layers(sample, arguments.size).masks[PARTS.index(arguments.part)]
        hole = around(plane, source) == 0
        Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).save(arguments.mask)
    for caption in captions(sample, source, 3):
        sys.stdout.write(caption.text + "\n")


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


_COMMANDS = {
    "train": _train,
    "draw": _draw,
    "collect": _collect,
    "import": _import,
    "forward": _forward,
    "export": _export,
}


def main() -> None:
    arguments = _parser().parse_args()
    reexec_tuned("models")
    try:
        {
            "train": _train,
            "draw": _draw,
            "collect": _collect,
            "import": _import,
            "forward": _forward,
            "export": _export,
        }[arguments.command](arguments)
    except ModelsError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
