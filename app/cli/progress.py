"""One line on a terminal that says how far a job is, rewritten as it changes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

_CLEAR = "\r\033[K"


@contextlib.contextmanager
def job_line() -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    """What to call with the job's record; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda job: click.echo(f"{_CLEAR}{_told(job)}", nl=False, err=True)
    finally:
        click.echo(_CLEAR, nl=False, err=True)


def _told(job: Mapping[str, Any]) -> str:
    place, progress = job.get("queue_position"), job.get("progress") or {}
    behind = f", {place} in front" if place else ""
    total = progress.get("total", 1)
    share = f", {progress['done']} of {total} pictures" if total > 1 else ""
    return f"{job['task']}: {job['status']}{behind}{share}"
