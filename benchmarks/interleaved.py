"""Ways to do the same, timed in turns: each lives in a process of its own, and they alternate, so
that whatever else happens on the machine hits all of them.

A benchmark module starts a :class:`Child` for each and, when it finds itself a child, calls
:func:`answer`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from models.runtime.cpu.process import tuned_environment

Turn = Callable[[], object]


class Child:
    """``python -m module arguments…``, ready for its turns. ``report`` is what it reported of
    itself; ``tuned``: with the allocator as workers have it.
    """

    def __init__(self, module: str, *arguments: str, tuned: bool) -> None:
        plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, *arguments],
            env=tuned_environment(plain) if tuned else plain,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.report: dict[str, Any] = json.loads(self._answer())

    def time(self, turn: str) -> float:
        """Milliseconds of one turn."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(f"{turn}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def end(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout.readline()


def answer(
    functions: Mapping[str, Turn], report: Mapping[str, Any], clock: Callable[[], float]
) -> None:
    """The report on standard output, then one turn per line of standard input: its name comes in,
    its milliseconds go out. The first turn is tried a few times before.
    """
    for _ in range(3):
        next(iter(functions.values()))()
    sys.stdout.write(f"{json.dumps(report)}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        started = clock()
        functions[line.strip()]()
        sys.stdout.write(f"{(clock() - started) * 1000}\n")
        sys.stdout.flush()
