"""The Redis of a running service, or one that is started for a moment."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import redis

from app.gateway.api_keys import ApiKeyError
from jobs.errors import StoreError

if TYPE_CHECKING:
    from jobs.settings import SharedSettings


def operator() -> str:
    """Who runs this command, for the list of what operators did."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@contextlib.contextmanager
def connected(state_dir: Path | None) -> Iterator[tuple[redis.Redis, SharedSettings]]:
    """Of the local service with that state folder, or as ``MMML_REDIS_URL`` says. What goes wrong
    within the block becomes a sentence.
    """
    from app.local.broker import LocalServiceError, broker_at, default_state_dir
    from jobs.connections import connect, wait_until_ready
    from jobs.settings import SharedSettings

    try:
        with broker_at((state_dir or default_state_dir()).absolute()) as url:
            wait_until_ready(url, 10)
            client = connect(url)
            try:
                yield client, SharedSettings()
            finally:
                client.close()
    except (LocalServiceError, ApiKeyError, StoreError, redis.RedisError) as error:
        raise click.ClickException(str(error)) from error
