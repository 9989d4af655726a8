"""What every command has at hand: the service, and whether it is a program that reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from app.client import Client


@dataclass
class Invocation:
    """One run of ``mmml``. ``connect`` makes a client that waits for jobs and for a busy service
    as its options say.
    """

    connect: Callable[..., Client]
    as_json: bool = False

    def tell(self, record: Any, lines: Iterable[str]) -> None:
        """The answer on stdout: ``record`` as JSON, or ``lines`` for people."""
        if self.as_json:
            click.echo(json.dumps(record, ensure_ascii=False, default=str))
            return
        for line in lines:
            click.echo(line)

    def warn(self, sentence: str) -> None:
        """Beside the answer, on stderr."""
        click.echo(f"warning: {sentence}", err=True)


def _remember(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    root = context.find_root()
    if value:
        root.meta[_AS_JSON] = True
        if isinstance(root.obj, Invocation):
            root.obj.as_json = True


_AS_JSON = "mmml.as_json"


def json_parameter() -> click.Option:
    """``--json``, which may stand before or behind the command's name."""
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="answer in JSON, for programs",
    )


def _reach(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    run = context.find_root().obj
    if value is not None and isinstance(run, Invocation):
        run.connect = partial(run.connect, **{str(parameter.name): value})


def _reaching_parameters() -> list[click.Option]:
    """``--url`` and ``--api-key`` behind a command's name, where people write them too."""
    return [
        click.Option([flag], hidden=True, expose_value=False, callback=_reach)
        for flag in ("--url", "--api-key")
    ]


def wants_json(context: click.Context) -> bool:
    return bool(context.find_root().meta.get(_AS_JSON))


class JsonCommand(click.Command):
    """A command with ``--json``, and how the service is reached."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += [json_parameter(), *_reaching_parameters()]


class JsonGroup(click.Group):
    """A group whose commands have ``--json``."""

    command_class = JsonCommand
