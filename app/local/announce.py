"""What ``mmml serve`` says on the screen: that the networks are being loaded and, once a worker is
ready, what is where.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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


@contextmanager
def announcing(
    find_workers: Callable[[], Sequence[WorkerInfo]],
    ready: Callable[[WorkerInfo, float], str],
    log: Path,
    screen: TextIO = sys.stderr,
) -> Iterator[None]:
    """Waits in a thread for the first worker, and says so, unless the block ends before.
    ``find_workers`` returns the heartbeats of live workers; ``ready`` makes the text of the first
    and the seconds it took.
    """
    stop, started = threading.Event(), time.monotonic()
    # A terminal's line is written over.
    before, after, pause = ("\r\x1b[K", "\r", 1.0) if screen.isatty() else ("", "\n", _QUIET)

    def show(text: str) -> None:
        screen.write(before + text)
        screen.flush()

    def run() -> None:
        next_line = 0.0
        while not stop.wait(_POLL):
            seconds = time.monotonic() - started
            workers: Sequence[WorkerInfo] = ()
            with suppress(StoreError):  # the next look may find it
                workers = find_workers()
            if workers:
                show(ready(workers[0], seconds))
                return
            if seconds >= next_line:
                next_line = seconds + pause
                text = f"Loading the networks: {seconds:.0f} s (the worker's log: {log})"
                show(text + after)

    thread = threading.Thread(target=run, name="announcer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2)
