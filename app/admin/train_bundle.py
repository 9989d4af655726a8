"""``mmml train-bundle``: the training's own command, in the place of this process."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    "train-bundle",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def train_bundle(words: tuple[str, ...]) -> None:
    """Train a bundle on a folder of captioned photos; it is served at once."""
    command = [sys.executable, "-P", "-m", "models", "train-bundle", *words]
    os.execv(sys.executable, command)  # noqa: S606
