"""``python -m models judge``: train the networks that judge, apart from everything judged."""

from __future__ import annotations

import argparse
import sys

from models.commands.arguments import new_folder, number, whole


def add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True)
    reader = kinds.add_parser("attributes", help="the reader of part colours on Aviary")
    reader.add_argument("--minutes", type=number(above=0), default=8.0)
    reader.add_argument("--steps", type=whole(0), default=0, help="instead of minutes")
    reader.add_argument(
        "--geometries", type=whole(1), default=3000, help="birds drawn for training"
    )
    reader.add_argument("--count", type=whole(1), default=1000, help="held-out renders to read")
    reader.add_argument(
        "--out", type=new_folder, required=True, help="folder, such as weights/judges"
    )
    form = kinds.add_parser("form", help="the segmenter behind one_bird and two_heads on Aviary")
    form.add_argument("--minutes", type=number(above=0), default=8.0)
    form.add_argument("--steps", type=whole(0), default=0, help="instead of minutes")
    form.add_argument("--resume", action="store_true", help="go on from the judge in --out")
    form.add_argument("--geometries", type=whole(1), default=3000, help="birds drawn for training")
    form.add_argument("--count", type=whole(1), default=1000, help="held-out renders to label")
    form.add_argument(
        "--out", type=new_folder, required=True, help="folder, such as weights/judges"
    )
    encoders = kinds.add_parser("encoders", help="text and image encoders behind sim, R-precision")
    encoders.add_argument("--data", default="aviary", help="aviary, or a data folder")
    encoders.add_argument("--minutes", type=number(above=0), default=10.0)
    encoders.add_argument("--steps", type=whole(0), default=0, help="instead of minutes")
    encoders.add_argument("--size", type=whole(0), default=0, help="side of the pictures in pixels")
    encoders.add_argument(
        "--out", type=new_folder, required=True, help="folder, such as weights/judges"
    )


def run(arguments: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(int(torch.get_num_threads()))
    train = {"attributes": _attributes, "form": _form, "encoders": _encoders}
    train[arguments.kind](arguments)


def _attributes(arguments: argparse.Namespace) -> None:
    from models.evaluation.attributes import describe, save_reader
    from models.evaluation.attributes_training import (
        ReaderOptions,
        held_out_accuracy,
        train_reader,
    )

    options = ReaderOptions(minutes=arguments.minutes, count=arguments.geometries)
    network = train_reader(options, arguments.steps)
    accuracy, by_part = held_out_accuracy(network, arguments.count)
    facts: dict[str, object] = {
        "accuracy": round(accuracy, 5),
        "by_part": {p: round(v, 4) for p, v in by_part.items()},
        "held_out": f"{arguments.count} renders of the split test",
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": options.seed,
        "command": _command(arguments),
    }
    path = save_reader(arguments.out, network, facts)
    sys.stdout.write(f"{describe(facts)}\nwrote {path}\n")


def _form(arguments: argparse.Namespace) -> None:
    from models.evaluation.attributes import describe
    from models.evaluation.form import find_form_judge, save_form_judge
    from models.evaluation.form_training import FormOptions, held_out_form, train_form_judge
    from models.evaluation.judge_files import entry

    options = FormOptions(minutes=arguments.minutes, count=arguments.geometries)
    begin = find_form_judge([arguments.out]).network if arguments.resume else None
    earlier = (entry(arguments.out, "form", "aviary") or {}) if arguments.resume else {}
    network = train_form_judge(options, arguments.steps, begin)
    accuracy, anatomy = held_out_form(network, arguments.count)
    facts: dict[str, object] = {
        "accuracy": round(accuracy, 5),
        "held_out": f"{arguments.count} renders of the split test, share of pixels",
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": options.seed,
        "command": "; ".join([*filter(None, [earlier.get("command")]), _command(arguments)]),
        "anatomy": anatomy.facts(),
    }
    path = save_form_judge(arguments.out, network, facts)
    sys.stdout.write(f"{describe(facts)}\nwrote {path}\n")


def _command(arguments: argparse.Namespace) -> str:
    limit = f"--steps {arguments.steps}" if arguments.steps else f"--minutes {arguments.minutes:g}"
    further = " --resume" if getattr(arguments, "resume", False) else ""
    return f"python -m models judge {arguments.kind} {limit}{further} --out weights/judges"


def _encoders(arguments: argparse.Namespace) -> None:
    from models.evaluation.judges_training import EncoderOptions, train_encoders

    options = EncoderOptions(minutes=arguments.minutes, steps=arguments.steps, size=arguments.size)
    path = train_encoders(arguments.data, options, arguments.out)
    sys.stdout.write(f"wrote {path}\n")
