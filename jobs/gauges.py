"""What operators watch of the job store, read in one round trip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.job import Priority

_PRIORITIES = tuple(reversed(Priority))  # as in jobs/scripts/prelude.lua


@dataclass(frozen=True)
class Waiting:
    """Jobs that a worker could have now, and the age of the oldest in seconds; 0 of none."""

    jobs: int
    oldest_age: float


@dataclass(frozen=True)
class StoreGauges:
    """Counts of jobs. ``all_waiting``: also those that ``waiting`` leaves out, whose owners are at
    their ``max_running`` or which were put off; ``suspects`` died with a worker and wait to run
    alone; ``results_due`` are over for longer than results live; memory of Redis in bytes, limit
    None when it has none.
    """

    waiting: Mapping[Priority, Waiting]
    all_waiting: Waiting
    leased: int
    suspects: int
    delayed: int
    results_due: int
    webhooks_due: int
    workers: int
    used_bytes: int
    limit_bytes: int | None

    @classmethod
    def parse(cls, answer: list[Any]) -> StoreGauges:
        """From the answer of ``jobs/scripts/gauges.lua``."""
        lines, counts = answer
        waiting = [
            Waiting(int(n), float(age)) for n, age in zip(lines[::2], lines[1::2], strict=True)
        ]
        leased, suspects, delayed, results, webhooks, workers, used, limit = map(int, counts)
        by_priority = dict(zip(_PRIORITIES, waiting[:-1], strict=True))
        held = leased, suspects, delayed
        return cls(by_priority, waiting[-1], *held, results, webhooks, workers, used, limit or None)
