"""``python -m models judge``: train the networks that judge, apart from everything judged."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from models.commands.arguments import new_folder, number, whole


def add_judge(parser: argparse.ArgumentParser) -> None:
    """Train the networks that judge, apart from everything judged."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    reader = kinds.add_parser("attributes", help="the reader of part colours on Aviary")
    form = kinds.add_parser("form", help="the segmenter behind one_bird and two_heads on Aviary")
    encoders = kinds.add_parser("encoders", help="text and image encoders behind sim, R-precision")
    for kind, minutes in ((reader, 8.0), (form, 8.0), (encoders, 10.0)):
        kind.add_argument("--minutes", type=number(above=0), default=minutes)
        kind.add_argument("--steps", type=whole(0), default=0, help="instead of minutes")
        kind.add_argument(
            "--out", type=new_folder, required=True, help="folder, such as weights/judges"
        )
    for kind in (reader, form):
        kind.add_argument(
            "--geometries", type=whole(1), default=3000, help="birds drawn for training"
        )
        kind.add_argument(
            "--count", type=whole(1), default=1000, help="held-out renders to look at"
        )
    form.add_argument("--resume", action="store_true", help="go on from the judge in --out")
    encoders.add_argument("--data", default="aviary", help="aviary, or a data folder")
    encoders.add_argument("--size", type=whole(0), default=0, help="side of the pictures in pixels")


def run_judge(arguments: argparse.Namespace) -> None:
    train = {"attributes": _attributes, "form": _form, "encoders": _encoders}
    sys.stdout.write(f"wrote {train[arguments.kind](arguments)}\n")


def _attributes(arguments: argparse.Namespace) -> Path:
    from models.evaluation.attributes_training import ReaderOptions, held_out_accuracy, train_reader

    options = ReaderOptions(minutes=arguments.minutes, count=arguments.geometries)
    network = train_reader(options, arguments.steps)
    accuracy, by_part = held_out_accuracy(network, arguments.count)
    facts = {
        "accuracy": round(accuracy, 5),
        "by_part": {p: round(v, 4) for p, v in by_part.items()},
        "held_out": f"{arguments.count} renders of the split test",
        "seed": options.seed,
        "command": _command(arguments),
    }
    return _save(arguments, network, facts)


def _form(arguments: argparse.Namespace) -> Path:
    from models.evaluation.evaluator_files import entry
    from models.evaluation.form import load_form_evaluator
    from models.evaluation.form_training import FormOptions, held_out_form, train_form_evaluator

    options = FormOptions(minutes=arguments.minutes, count=arguments.geometries)
    begin = load_form_evaluator([arguments.out]).network if arguments.resume else None
    earlier = (entry(arguments.out, "form", "aviary") or {}) if arguments.resume else {}
    network = train_form_evaluator(options, arguments.steps, begin)
    accuracy, anatomy = held_out_form(network, arguments.count)
    facts = {
        "accuracy": round(accuracy, 5),
        "held_out": f"{arguments.count} renders of the split test, share of pixels",
        "seed": options.seed,
        "command": "; ".join([*filter(None, [earlier.get("command")]), _command(arguments)]),
        "anatomy": anatomy.facts(),
    }
    return _save(arguments, network, facts)


def _save(arguments: argparse.Namespace, network: Any, facts: dict[str, object]) -> Path:
    from models.evaluation.evaluator_files import save_network

    facts |= {"parameters": sum(p.numel() for p in network.parameters())}
    sys.stdout.write(json.dumps(facts, indent=2, default=str) + "\n")
    return save_network(arguments.out, arguments.kind, network.state_dict(), facts, "aviary")


def _command(arguments: argparse.Namespace) -> str:
    limit = f"--steps {arguments.steps}" if arguments.steps else f"--minutes {arguments.minutes:g}"
    further = " --resume" if getattr(arguments, "resume", False) else ""
    return f"python -m models judge {arguments.kind} {limit}{further} --out weights/judges"


def _encoders(arguments: argparse.Namespace) -> Path:
    from models.evaluation.encoders_training import EncoderOptions, train_encoders

    options = EncoderOptions(minutes=arguments.minutes, steps=arguments.steps, size=arguments.size)
    return train_encoders(arguments.data, options, arguments.out)
