"""What a run of load found."""

from __future__ import annotations

import math
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
