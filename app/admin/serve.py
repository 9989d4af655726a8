"""``mmml serve``: the whole service on this machine."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import click


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    help="address to listen on; any other than loopback needs API keys",
)
@click.option("--port", default=8000, type=click.IntRange(1, 65535), help="port to listen on")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="folder of jobs, images and logs  [default: ~/.local/state/mmml]",
)
@click.option(
    "--fake", is_flag=True, help="draw instead of running networks, for tests of other programs"
)
@click.option("--until-stdin-closes", is_flag=True, help="end with the program that started it")
def serve(
    host: str, port: int, state_dir: Path | None, fake: bool, until_stdin_closes: bool
) -> None:
    """Run the whole service on this machine until Ctrl-C."""
    from app.local.parent_watcher import exit_when_stdin_closes
    from app.local.serve import serve as run
    from jobs.errors import JobsError

    _require_free(host, port)
    if until_stdin_closes:
        exit_when_stdin_closes()
    try:
        run(host, port, state_dir, fake)
    except JobsError as error:
        raise click.ClickException(str(error)) from error


def _require_free(host: str, port: int) -> None:
    """Say so before anything is started; other faults of the address are the server's to tell."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.ClickException(
                f"Port {port} is in use. Is a service running already? Give another one: "
                f"mmml serve --port {port + 1} --state-dir FOLDER"
            ) from error
