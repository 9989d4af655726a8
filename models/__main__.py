"""``python -m models COMMAND``: training, evaluation, import and export of bundles."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from models.failures import exit_with_sentence
from models.runtime.cpu.process import reexec_in_utf8, reexec_tuned

# command -> (module of models.commands that has add_COMMAND and run_COMMAND, what it does)
COMMANDS = {
    "train": ("train", "train one part and write RUN/bundle"),
    "train-queue": ("train_queue", "work through a training plan"),
    "train-bundle": ("train_bundle", "own photos to a bundle that is served"),
    "collect": ("bundles", "put the parts of several runs into one bundle"),
    "evaluate": ("evaluate", "measure a bundle on held-out data and write a report"),
    "sheet": ("evaluate", "draw the first pictures of a bundle on one sheet"),
    "enlarge": ("evaluate", "measure a bundle's detail stage beside bicubic enlargement"),
    "judge": ("evaluate", "train the networks that evaluate the others"),
    "sheets": ("sheets", "draw sheets of a bundle's pictures, to be rated or learned from"),
    "ratings": ("sheets", "teach a bundle to choose pictures that people would rate high"),
    "data": ("data", "check and prepare data sets"),
    "recalibrate": ("bundles", "estimate batch statistics of synthesis again"),
    "draw": ("data", "draw a bird and print its captions"),
    "forward": ("bundles", "feed tensors straight to the networks"),
    "import": ("checkpoints", "official checkpoints to a bundle"),
    "export": ("checkpoints", "a bundle's task in its authors' file layout"),
}


def command_line() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    parser = argparse.ArgumentParser(
        prog=os.environ.get("MMML_PROGRAM", "python -m models"), description=__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        found = importlib.import_module(f"models.commands.{module}")
        function = name.replace("-", "_")
        add, run = getattr(found, f"add_{function}"), getattr(found, f"run_{function}")
        own = commands.add_parser(name, help=text, description=add.__doc__)
        add(own)
        own.set_defaults(run=run)
    return parser


def main() -> None:
    with exit_with_sentence(next(iter(sys.argv[1:]), "")):
        reexec_in_utf8("models")
        reexec_tuned("models")
        arguments = command_line().parse_args()
        arguments.run(arguments)


if __name__ == "__main__":
    main()
