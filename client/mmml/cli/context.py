"""What every command has at hand: the service, and whether it answers in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from mmml import Client

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """The text with a mark in place of control characters, other than tab and line feed."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


_AS_JSON = "mmml.as_json"


@dataclass
class CliContext:
    """One run of ``mmml``. ``connect`` makes a client that waits for jobs and retries as its
    options say.
    """

    connect: Callable[..., Client]
    as_json: bool = False

    def print_result(self, record: Any, lines: Iterable[str]) -> None:
        """The answer on stdout: ``record`` as JSON, or ``lines`` for people."""
        if self.as_json:
            click.echo(json.dumps(record, ensure_ascii=False, default=str))
            return
        for line in lines:
            click.echo(printable(line))

    def warn(self, sentence: str) -> None:
        """Beside the answer, on stderr."""
        click.echo(printable(f"warning: {sentence}"), err=True)


def _set_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    root = context.find_root()
    if value:
        root.meta[_AS_JSON] = True
        if isinstance(root.obj, CliContext):
            root.obj.as_json = True


def json_parameter() -> click.Option:
    """``--json``, which may stand before or behind the command's name."""
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_json,
        help="answer in JSON, for programs",
    )


def _set_connection(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    root = context.find_root().obj
    if value is not None and isinstance(root, CliContext):
        root.connect = partial(root.connect, **{str(parameter.name): value})


def json_parameters() -> list[click.Option]:
    """``--json``, and ``--url`` and ``--api-key`` behind a command's name, where people write them
    too.
    """
    connection = [
        click.Option([flag], hidden=True, expose_value=False, callback=_set_connection)
        for flag in ("--url", "--api-key")
    ]
    return [json_parameter(), *connection]


def wants_json(context: click.Context) -> bool:
    """Whether ``--json`` was given."""
    return bool(context.find_root().meta.get(_AS_JSON))


class JsonCommand(click.Command):
    """A command with ``--json``, and how the service is reached."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += json_parameters()
