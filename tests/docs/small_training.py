"""The commands of docs/training.md for drawn birds, at one step and a few pictures each, in one
process: ``python -m tests.docs.small_training``, in the folder to be written into.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from models.__main__ import main
from tests.docs.blocks import ROOT, blocks, commands

MARK = "--preset aviary"
_TRAIN = (
    "--steps 1 --set loop.batch=2 --set loop.samples=4 --set loop.settle_batches=1 "
    "--set loop.threads=1 --set loop.devices=1 --set loop.log_every=1"
)
SMALLER = {"train": shlex.split(_TRAIN), "evaluate": shlex.split("--samples 2 --no-features")}


def documented() -> list[list[str]]:
    """The words behind ``python -m models`` of each command."""
    page = ROOT / "docs" / "training.md"
    block = next(b for b in blocks(page) if b.reason and MARK in b.text)
    return [shlex.split(command)[3:] for command in commands(block)]


def _expanded(word: str) -> list[str]:
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]


if __name__ == "__main__":
    for words in documented():
        sys.argv = ["models", *(part for word in words for part in _expanded(word))]
        sys.argv += SMALLER.get(words[0], [])
        main()
