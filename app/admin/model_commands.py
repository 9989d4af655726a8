"""``mmml train``, ``mmml evaluate`` and others: commands of ``python -m models``, which takes the
place of this process.
"""

from __future__ import annotations

import os
import sys

import click


def _command(name: str, text: str) -> click.Command:
    def start(words: tuple[str, ...]) -> None:
        os.environ["MMML_PROGRAM"] = "mmml"  # how the usage line begins
        command = [sys.executable, "-P", "-m", "models", name, *words]
        os.execv(sys.executable, command)  # noqa: S606

    return click.Command(
        name,
        callback=start,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        help=text,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )


train = _command("train", "Train one part of a bundle.")
train_bundle = _command(
    "train-bundle", "Train a bundle on a folder of captioned photos; it is served at once."
)
evaluate = _command("evaluate", "Measure a bundle on held-out data.")
import_ = _command("import", "Make a bundle of published checkpoints.")
export = _command("export", "Write a bundle's weights in their authors' layout.")
data = _command("data", "Check and prepare data sets.")
