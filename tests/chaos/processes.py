"""Processes that are started again when they die, as a container engine does, and that can be
killed, paused and asked to end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_RESTART_AFTER = 0.3  # seconds


_duties: list[Callable[[], None]] = []


@contextmanager
def at_end(duty: Callable[[], None]) -> Iterator[None]:
    """``duty`` is done at the end of the block, or before this program is ended."""
    _duties.append(duty)
    try:
        yield
    finally:
        _duties.remove(duty)
        duty()


def end_all() -> None:
    """Do every duty: this program is about to end."""
    for duty in reversed(_duties):
        duty()


class NeverTrue(Exception):
    """Something that was waited for did not happen."""


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll until ``condition`` holds. Raises NeverTrue."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NeverTrue(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


@dataclass
class Process:
    """Runs in ``folder``. ``wanted``: it is started again whenever it ends. ``starts`` counts.
    ``grouped``: what it started ends when it does.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    folder: Path = ROOT
    wanted: bool = False
    grouped: bool = False
    starts: int = 0
    popen: subprocess.Popen[bytes] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _ended_at: float | None = None

    def start(self) -> None:
        with self._lock, self.log.open("ab") as log:
            self.wanted = True
            self.starts += 1
            self._ended_at = None
            self.popen = subprocess.Popen(
                self.command,
                env=dict(self.env),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=self.grouped,
            )

    @property
    def pid(self) -> int:
        assert self.popen
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self.alive:
                os.kill(self.pid, number)

    def send_all(self, number: signal.Signals) -> None:
        """To it and, when grouped, to what it started."""
        if not self.grouped:
            self.send(number)
        elif self.popen:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """``kill -9``; it will be started again."""
        self.send(signal.SIGKILL)
        self._reap(10)

    def down(self) -> None:
        """``kill -9``, and leave it so."""
        self.wanted = False
        self.kill()
        if self.grouped:
            self.send_all(signal.SIGKILL)

    def terminate(self, seconds: float) -> int:
        """SIGTERM; returns its exit status. Raises NeverTrue when it takes longer."""
        self.wanted = False
        self.send(signal.SIGTERM)
        self._reap(seconds)
        assert self.popen
        if self.popen.returncode is None:
            raise NeverTrue(f"{self.name} did not end within {seconds:.0f} s of SIGTERM")
        return self.popen.returncode

    def _reap(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.popen:
                self.popen.wait(seconds)

    def look(self) -> None:
        """Start it again if it has ended and is wanted."""
        with self._lock:
            if not self.wanted or not self.popen or self.popen.poll() is None:
                return
            now = time.monotonic()
            if self._ended_at is None:
                self._ended_at = now
            elif now - self._ended_at > _RESTART_AFTER:
                self.start()

    def resident(self) -> int:
        """Bytes of memory that it holds; 0 when it does not run."""
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return 0


class Keeper:
    """One thread that looks after processes."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, process: Process) -> Process:
        process.start()
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Kill them all."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        for process in reversed(self.processes):
            process.send(signal.SIGCONT)
            process.down()

    def _loop(self) -> None:
        while not self._stop.wait(0.1):
            for process in list(self.processes):
                process.look()
