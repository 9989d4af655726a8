"""How a command ends: a number for scripts, a sentence or JSON for its reader."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import IO, Any

import click

from mmml import JobFailed, MmmlError, Refused, StillRunning, Unreachable
from mmml.cli.context import printable


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
    interrupted = 130


MEANINGS = {
    ExitStatus.ok: "done",
    ExitStatus.failed: (
        "the job failed or was canceled; of a batch: at least one row has no picture"
    ),
    ExitStatus.usage: "the command line can't be understood",
    ExitStatus.no_service: "no service answers, or it failed itself (500, 502, 504)",
    ExitStatus.refused: (
        "the request or a file can't be used, or there is no such job (400 to 422)"
    ),
    ExitStatus.busy: (
        "the service has no room or this key has had its share (429, 503); later it works"
    ),
    ExitStatus.denied: "the key is missing, unknown, or may not do this (401, 403)",
    ExitStatus.unfinished: "the time given with --timeout is over; the job goes on",
    ExitStatus.interrupted: "Ctrl-C; what was submitted goes on",
}


class CommandError(click.ClickException):
    """Ends the command; ``cause`` is the client's error, if there was one."""

    def __init__(self, exit_code: ExitStatus, detail: str, cause: MmmlError | None = None) -> None:
        super().__init__(detail)
        self.exit_code = exit_code  # type: ignore[misc]  # click means it for classes
        self.cause = cause

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(printable(f"error: {self.message}"), file, err=file is None)


class JsonCommandError(click.ClickException):
    """The same for programs: one line of JSON on stderr."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(error.format_message())
        self.exit_code = int(error.exit_code)  # type: ignore[misc]
        self._record = {
            "exit": self.exit_code,
            "meaning": ExitStatus(self.exit_code).name,
            "detail": self.message,
            **{
                name: value
                for name in ("code", "status", "retry_after")
                if (value := getattr(getattr(error, "cause", None), name, None))
            },
        }

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(json.dumps({"error": self._record}, ensure_ascii=False), file, err=file is None)


def exit_status(error: MmmlError) -> ExitStatus:
    """The exit status for an error of the client."""
    if isinstance(error, Refused):
        return _http_exit_status(error.status or 500)
    for kind, code in _KINDS.items():
        if isinstance(error, kind):
            return code
    return ExitStatus.refused


_KINDS = {
    JobFailed: ExitStatus.failed,
    StillRunning: ExitStatus.unfinished,
    Unreachable: ExitStatus.no_service,
}


def _http_exit_status(status: int) -> ExitStatus:
    if status in (500, 502, 504):
        return ExitStatus.no_service
    if status in (401, 403):
        return ExitStatus.denied
    return ExitStatus.busy if status in (429, 503) else ExitStatus.refused
