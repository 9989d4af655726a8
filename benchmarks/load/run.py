"""The generator as a child process."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.load.report import Report


def loaded(
    url: str,
    exchange: str,
    *,
    seconds: float,
    warm: float = 1.0,
    clients: int = 0,
    offered: float = 0.0,
    first: int = 0,
) -> Report:
    """Load from another process: ``clients`` in a closed loop, or ``offered`` jobs per second in
    an open one. Raises RuntimeError when the generator fails.
    """
    command = [sys.executable, "-m", "benchmarks.load", url, exchange]
    command += ["--seconds", str(seconds), "--warm", str(warm), "--first", str(first)]
    command += ["--offered", str(offered)] if offered else ["--clients", str(clients)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr[-1000:]}")
    return Report(**json.loads(done.stdout))
