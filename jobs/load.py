"""How full the job store is, and how fast room is made: what a refusal's ``Retry-After`` is
computed from.
"""

from __future__ import annotations

from dataclasses import dataclass

# Bytes that one finished job of one picture takes in a server with its own defaults, indices and
# events included, until real ones can be measured: docs/log.md
BYTES_PER_JOB = 6656
_WINDOW = 60.0  # seconds over which finished jobs are counted


@dataclass(frozen=True)
class Load:
    """Jobs that wait, jobs that are not final, live workers; memory in bytes, limit None when there
    is none.

    ``bytes_per_job`` is what one of the store's own finished jobs takes.
    """

    waiting: int
    unfinished: int
    workers: int
    used_bytes: int
    limit_bytes: int | None
    bytes_per_job: int


@dataclass(frozen=True)
class Throughput:
    """At ``now`` by the store's clock. ``rate``: jobs that end per second while others wait, None
    when none was seen to end;
    ``oldest_age``: for how many seconds the oldest finished job has been over.
    """

    now: float
    rate: float | None
    oldest_age: float | None

    @staticmethod
    def window(now: float, oldest_queued: float | None) -> float:
        """Seconds to look back: only as long as jobs have been waiting, because what ended before
        that says how busy the clients were, not how fast the workers are.
        """
        busy = now - oldest_queued if oldest_queued is not None else _WINDOW
        return min(max(busy, 1.0), _WINDOW)

    @classmethod
    def from_count(
        cls, now: float, ended: int, window: float, oldest_age: float | None
    ) -> Throughput:
        """From the number of jobs that ended within ``window`` seconds."""
        return cls(now, ended / window if ended else None, oldest_age)
