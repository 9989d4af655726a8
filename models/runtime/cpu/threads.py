"""Torch's threads on a CPU, all for the one thread that runs the networks, and how long they wait
for a core.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")


class Execute(Protocol):
    """Calls ``work`` in some thread and returns, or raises, what it does."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def execute_here(work: Callable[[], T], /) -> T:
    """In the caller's own thread."""
    return work()


def reserve_threads(execute: Execute, count: int) -> None:
    """Let the thread of ``execute`` work with ``count`` threads, 0 for one per core, and the caller
    and every thread that has not used torch yet with one.

    libgomp adds up the helpers of each thread that ever worked with several. Once these are more
    than there are cores, they sleep between the steps of a pass instead of waiting for the next,
    and all networks take a third longer.
    """
    execute(lambda: _set_threads(count or os.cpu_count() or 1))
    torch.set_num_threads(1)


def _set_threads(count: int) -> None:
    torch.set_num_threads(count)
    torch.get_num_threads()  # a thread that asks for the first time takes what was set last


def seconds_without_core() -> float:
    """For how long threads of this process, added up, were ready to run while others had the cores;
    0 where the system does not tell.
    """
    try:
        found = [p.read_text() for p in Path("/proc/self/task").glob("*/schedstat")]
    except OSError:  # a thread has just ended
        return 0.0
    return sum(int(text.split()[1]) for text in found) / 1e9
