"""What ``mmml serve`` says on the screen: that the networks are being loaded and, once a worker is
ready, what is where.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TextIO

from jobs.bundles import Catalogue
from jobs.errors import StoreError
from jobs.requests import TASKS

_POLL = 0.2  # seconds
_QUIET = 30.0  # seconds between two lines where none can be written over
WorkerInfo = Mapping[str, Any]


def service_address(host: str, port: int) -> str:
    """Where a browser on this machine finds the service that listens there."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:  # every address of the machine
        return f"http://127.0.0.1:{port}"
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


def ready_text(
    address: str, catalogue: Catalogue, worker: WorkerInfo, state_dir: Path, seconds: float
) -> str:
    """The block of lines; ``worker``: its last heartbeat; ``seconds``: that loading took."""
    device = worker.get("device", "cpu")
    rows = [
        ("Studio", f"{address}/"),
        ("API", f"{address}/docs"),
        *(("" if n else "Bundles", line) for n, line in enumerate(_bundles(catalogue, worker))),
        ("State", f"{state_dir} (jobs, images, logs)"),
        ("Stop", "Ctrl-C; jobs that have not ended continue at the next start"),
    ]
    lines = (f"  {name:<8} {text}\n" for name, text in rows)
    return f"\nmmml is ready on {device} after {seconds:.0f} s.\n\n{''.join(lines)}\n"


def _bundles(catalogue: Catalogue, worker: WorkerInfo) -> list[str]:
    """A line for each bundle that the worker can load; * marks a task's default."""
    offers = worker.get("bundles", {})
    known = [info for name, info in catalogue.bundles.items() if name in offers]
    names = max((len(info.name) for info in known), default=0)
    domains = max((len(info.domain) for info in known), default=0)
    lines = []
    for info in known:
        served = [task for task in TASKS if task in offers[info.name]["tasks"]]
        tasks = ", ".join(t + "*" * (catalogue.default(t) == info.name) for t in served)
        lines.append(f"{info.name:<{names}}  {info.domain:<{domains}}  {tasks}")
    return [*lines, "(* serves requests that name no bundle)"]


class Announcer:
    """Waits for the first worker, and says so. ``find_workers`` returns the heartbeats of live
    workers; ``ready`` makes the text of the first and the seconds it took.
    """

    def __init__(
        self,
        find_workers: Callable[[], Sequence[WorkerInfo]],
        ready: Callable[[WorkerInfo, float], str],
        log: Path,
        screen: TextIO = sys.stderr,
    ) -> None:
        self._find_workers, self._ready, self._log = find_workers, ready, log
        self._screen = screen
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._next_line = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """In a thread, until a worker is ready or the block ends."""
        thread = threading.Thread(target=self._run, name="announcer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(2)

    def _run(self) -> None:
        while not self._stop.wait(_POLL):
            seconds = time.monotonic() - self._started
            if worker := self._first_worker():
                self._write(self._ready(worker, seconds), over=True)
                return
            self._report_progress(seconds)

    def _first_worker(self) -> WorkerInfo | None:
        try:
            return next(iter(self._find_workers()), None)
        except StoreError:  # the next look may find it
            return None

    def _report_progress(self, seconds: float) -> None:
        over = self._screen.isatty()
        if seconds >= self._next_line:
            self._next_line = seconds + (1.0 if over else _QUIET)
            text = f"Loading the networks: {seconds:.0f} s (the worker's log: {self._log})"
            self._write(text + ("\r" if over else "\n"), over)

    def _write(self, text: str, over: bool) -> None:
        """``over``: over the line that the cursor stands on, on a terminal."""
        erase = "\r\x1b[K" if over and self._screen.isatty() else ""
        self._screen.write(erase + text)
        self._screen.flush()
