"""Processes that are kept alive for as long as this one lives. They run under
:mod:`app.local.parent_watcher`, so that nothing is left behind even when this process is killed
with -9.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
STABLE_SECONDS = 30.0
_LAST_WORDS = 400  # bytes of a log
# Whatever lies in the current folder must not be imported instead of the service's own packages.
PYTHON_COMMAND = (sys.executable, "-P")


@dataclass
class ChildProcess:
    """One supervised process: restarted with a growing pause for as long as the service runs."""

    name: str
    command: Sequence[str]
    log: Path | None = None
    pass_fds: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # beside that of this process
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = 0.0
    _not_before: float = field(default=0.0, repr=False)

    def start(self) -> None:
        """Start the command under a guard that watches a pipe to this process."""
        if self.log:  # its folder may have been tidied away since
            self.log.parent.mkdir(parents=True, exist_ok=True)
        output = self.log.open("ab") if self.log else None
        # The command is built by this program, never by a client.
        self.process = subprocess.Popen(  # noqa: S603
            [*PYTHON_COMMAND, "-m", "app.local.parent_watcher", "--", *self.command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=self.pass_fds,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        if output:
            output.close()
        self.started = time.monotonic()

    def restart_if_ended(self) -> str | None:
        """Restart the process if it has ended. Returns a sentence when it had."""
        if self.process is None or self.process.poll() is None:
            return None
        now = time.monotonic()
        if not self._not_before:
            self.failures = 0 if now - self.started > STABLE_SECONDS else self.failures + 1
            pause = BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
            self._not_before = now + pause
            ended = f"{self.name} ended with status {self.process.returncode}; starting it again."
            return f"{ended} {self._last_words()}"
        if now >= self._not_before:
            self._not_before = 0.0
            self._close_pipe()
            self.start()
        return None

    def _last_words(self) -> str:
        """Where its log is and how that ends."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_WORDS))
            lines = file.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{self.log} ends with: {last}" if last else ""

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

    def __init__(self, processes: Sequence[ChildProcess]) -> None:
        self._processes = list(processes)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        for child in self._processes:
            child.start()
        self._thread.start()

    def stop(self, timeout: float = 8.0) -> None:
        """Stop the last child first: the worker drains while the broker still answers."""
        self._stopping.set()
        self._thread.join(2)
        for child in reversed(self._processes):
            child.stop(timeout)

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in self._processes:
                try:
                    sentence = child.restart_if_ended()
                except OSError as error:  # a full disk, or no memory: tried again after a pause
                    sentence = f"{child.name} could not be started: {error}"
                if sentence:
                    sys.stderr.write(f"mmml: {sentence}\n")


@contextlib.contextmanager
def temporary_environment(**values: str) -> Iterator[None]:
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
