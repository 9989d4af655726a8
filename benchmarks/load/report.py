"""What a run of load found, and the generator as a child process."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """rate: answers per second; p50, p95, p99: milliseconds from when a request was due to its
    answer, infinite when too few were answered; failures: requests that got no proper answer,
    with the first one's reason; cpu: the generator's own processor seconds per second; total:
    answers to all that was asked, counted or not.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    answers: int
    failures: int
    reason: str = ""
    cpu: float = 0.0
    total: int = 0


def report(
    seconds: float, latencies: Sequence[float], failures: Sequence[str], cpu: float, total: int
) -> Report:
    """Sum up the latencies (in seconds) of what was answered within ``seconds``."""
    found = sorted(1000 * x for x in latencies) + [math.inf] * len(failures)
    p50, p95, p99 = (round(percentile(found, share), 3) for share in (0.5, 0.95, 0.99))
    reason = failures[0] if failures else ""
    rate = len(latencies) / seconds
    return Report(rate, p50, p95, p99, len(latencies), len(failures), reason, cpu, total)


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed; infinite without values."""
    if not ascending:
        return math.inf
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)]


def percentiles(times: Sequence[float], *, most: int = 99) -> dict[str, float]:
    """``{"p50", "p95", "p99"}`` of times in any order, as far as ``most``."""
    return {f"p{k}": percentile(sorted(times), k / 100) for k in (50, 95, 99) if k <= most}


def loaded(
    url: str,
    exchange: str,
    *,
    seconds: float,
    warm: float = 1.0,
    clients: int = 0,
    offered: float = 0.0,
) -> Report:
    """Load from another process: ``clients`` in a closed loop, or ``offered`` jobs per second in
    an open one. Raises RuntimeError when the generator fails.
    """
    command = [sys.executable, "-m", "benchmarks.load", url, exchange]
    command += ["--seconds", str(seconds), "--warm", str(warm)]
    command += ["--offered", str(offered)] if offered else ["--clients", str(clients)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr[-1000:]}")
    return Report(**json.loads(done.stdout))
