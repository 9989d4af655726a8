"""What every command has at hand: the service, whether it answers in JSON, and how it ends: a
number for scripts, a sentence or JSON for its reader.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import IO, Any

import click

from mmml import Client, JobFailed, MmmlError, StillRunning, Unreachable

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """The text with a mark in place of control characters, other than tab and line feed."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def json_line(record: Any) -> str:
    """JSON whose control characters are escaped, those that JSON would let through as well."""
    text = json.dumps(record, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # another charset, or a file's name that is none
        text = json.dumps(record, default=str)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


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
            click.echo(json_line(record))
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
    return bool(context.find_root().meta.get(_AS_JSON))


class ExitStatus(IntEnum):
    """Exit statuses; documented in docs/cli.md from :data:`MEANINGS`."""

    ok = 0
    failed = 1
    usage = 2
    no_service = 3
    refused = 4
    busy = 5
    denied = 6
    unfinished = 7
    partial = 8
    interrupted = 130


MEANINGS = {
    ExitStatus.ok: "done",
    ExitStatus.failed: "the job failed or was canceled; of a batch: no row has images",
    ExitStatus.usage: "the command line is invalid",
    ExitStatus.no_service: "no service answers, or it failed (500, 502, 504)",
    ExitStatus.refused: (
        "the request or a file can't be used, or there is no such job (400 to 422)"
    ),
    ExitStatus.busy: (
        "the service is full, or this key has used up its limit (429, 503); retry later"
    ),
    ExitStatus.denied: "the key is missing, unknown, or may not do this (401, 403)",
    ExitStatus.unfinished: "the time given with --timeout has passed; the job continues",
    ExitStatus.partial: "some images of the job, or some rows of the batch, failed",
    ExitStatus.interrupted: "Ctrl-C; submitted jobs continue",
}


class CommandError(click.ClickException):
    """Ends the command; ``cause`` is the client's error, if there was one."""

    def __init__(
        self,
        detail: str,
        exit_code: ExitStatus = ExitStatus.refused,
        cause: MmmlError | None = None,
    ) -> None:
        super().__init__(detail)
        self.exit_code = exit_code  # type: ignore[misc]  # click means it for classes
        self.cause = cause

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(printable(f"error: {self.message}"), file, err=file is None)


def json_error(error: click.ClickException) -> str:
    """The same for programs: one line of JSON."""
    cause = getattr(error, "cause", None)
    facts = {name: getattr(cause, name, None) for name in ("code", "status", "retry_after")}
    record = {
        "exit": int(error.exit_code),
        "meaning": ExitStatus(error.exit_code).name,
        "detail": error.format_message(),
        **{name: value for name, value in facts.items() if value},
    }
    return json_line({"error": record})


def exit_status(error: MmmlError) -> ExitStatus:
    for kind, status in _BY_KIND.items():
        if isinstance(error, kind):
            return status
    return _BY_HTTP_STATUS.get(error.status or 422, ExitStatus.refused)


_BY_KIND = {
    JobFailed: ExitStatus.failed,
    StillRunning: ExitStatus.unfinished,
    Unreachable: ExitStatus.no_service,
}
_BY_HTTP_STATUS = {
    **dict.fromkeys((500, 502, 504), ExitStatus.no_service),
    **dict.fromkeys((401, 403), ExitStatus.denied),
    **dict.fromkeys((429, 503), ExitStatus.busy),
}
