"""Waiting for a job, with one line on the terminal that says how far it is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from mmml import Job

_CLEAR = "\r\033[K"


def wait_for_job(job: Job, fetch: bool = True) -> None:
    """Wait for the job's end. Raises JobFailed and StillRunning."""
    try:
        with _progress_line() as on_change:
            job.wait(on_change, fetch=fetch)
    except KeyboardInterrupt:
        click.echo(f"The job goes on: mmml wait {job.id}, or mmml cancel {job.id}", err=True)
        raise


@contextlib.contextmanager
def _progress_line() -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    """What to call with the job's record; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda job: click.echo(f"{_CLEAR}{_progress(job)}", nl=False, err=True)
    finally:
        click.echo(_CLEAR, nl=False, err=True)


def _progress(job: Mapping[str, Any]) -> str:
    position, progress = job.get("queue_position"), job.get("progress") or {}
    ahead = f", {position} in front" if position else ""
    total = progress.get("total", 1)
    share = f", {progress['done']} of {total} pictures" if total > 1 else ""
    return f"{job['task']}: {job['status']}{ahead}{share}"
