"""What every command of ``mmml keys`` and ``mmml admin`` has at hand: the Redis of a running
service, or one that is started for a moment.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click
import redis

from app.gateway.api_keys import KeyStore
from app.local.broker import broker_at, default_state_dir
from jobs.connections import connect, wait_until_ready
from jobs.errors import JobsError
from jobs.redis_store import JobStore
from jobs.settings import SharedSettings

P = ParamSpec("P")
Report = tuple[Any, Iterable[str]]  # a record for programs, and lines for people


def print_result(record: Any, lines: Iterable[str]) -> None:
    """Print ``record`` in JSON when that was asked of the ``mmml`` command, else ``lines``."""
    click.get_current_context().find_root().obj.print_result(record, lines)


@dataclass(frozen=True)
class Backend:
    """Jobs and keys of the service that a command is about."""

    settings: SharedSettings
    jobs: JobStore
    keys: KeyStore

    def record_action(self, action: str, target: str) -> None:
        """For the list of what operators did."""
        self.jobs.record_action(operator(), action, target)


@contextlib.contextmanager
def _backend(state_dir: Path) -> Iterator[Backend]:
    """Of the local service with that folder, or as ``MMML_REDIS_URL`` says. What goes wrong within
    the block becomes a sentence.
    """
    try:
        with broker_at(state_dir.absolute()) as url:
            wait_until_ready(url, 10)
            settings = SharedSettings()
            with contextlib.closing(connect(url)) as client:
                prefix = settings.redis_prefix
                yield Backend(settings, JobStore(client, prefix), KeyStore(client, prefix))
    except (JobsError, redis.RedisError) as error:
        raise click.ClickException(str(error)) from error


def reports(function: Callable[Concatenate[Backend, P], Report]) -> Callable[P, None]:
    """A command whose function is given the backend, and returns what is to be printed."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with _backend(click.get_current_context().obj) as backend:
            record, lines = function(backend, *args, **kwargs)
        print_result(record, lines)

    return run


def command_group(name: str, text: str) -> click.Group:
    """A group of commands that are about one service."""

    @click.group(name, help=text)
    @click.option("--state-dir", type=click.Path(path_type=Path), help="as given to mmml serve")
    @click.pass_context
    def group(context: click.Context, state_dir: Path | None) -> None:
        context.obj = state_dir or default_state_dir()

    return group


def operator() -> str:
    """Who runs this command, for the list of what operators did."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
