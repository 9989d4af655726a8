"""Two ways to do the same, timed in turns: each lives in a process of its own, and they alternate,
so that whatever else happens on the machine hits both.

A benchmark module calls :func:`compare` and, when it finds itself a child, :func:`answer`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from models.allocator import tuned_environment


def compare(module: str, name: str, rounds: int, slow: str, fast: str) -> tuple[float, float]:
    """Median milliseconds of one turn of ``slow`` and of ``fast``. Only ``fast`` gets the tuned
    allocator.
    """
    children = {kind: _child(module, name, kind, tuned=kind == fast) for kind in (slow, fast)}
    times: dict[str, list[float]] = {kind: [] for kind in children}
    for _ in range(rounds):
        for kind, child in children.items():
            times[kind].append(_one(child))
    for child in children.values():
        child.communicate()
    return statistics.median(times[slow]), statistics.median(times[fast])


def _child(module: str, name: str, kind: str, tuned: bool) -> subprocess.Popen[str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    environment = tuned_environment(plain) if tuned else plain
    command = [sys.executable, "-m", module, name, kind]
    return subprocess.Popen(  # noqa: S603
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _one(child: subprocess.Popen[str]) -> float:
    assert child.stdin is not None  # noqa: S101
    assert child.stdout is not None  # noqa: S101
    child.stdin.write("run\n")
    child.stdin.flush()
    return float(child.stdout.readline())


def answer(turn: Callable[[], object], warm: int = 3) -> None:
    """One turn per line of standard input; its milliseconds on standard output."""
    for _ in range(warm):
        turn()
    for _ in sys.stdin:
        started = time.perf_counter()
        turn()
        sys.stdout.write(f"{(time.perf_counter() - started) * 1000}\n")
        sys.stdout.flush()
