"""How full the job store is, and how fast room is made: what a refusal's ``Retry-After`` is
computed from; and what operators watch. One round trip measures what submissions ask, another what
a refusal needs, a third what operators see.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis
from pydantic import BaseModel, Field

from jobs.job import Priority
from jobs.redis_scripts import Scripts, translate_errors

# Bytes that one finished job of one picture takes in a server with its own defaults, indices and
# events included, until real ones can be measured: docs/log.md
BYTES_PER_JOB = 6656
_WINDOW = 60.0  # seconds over which finished jobs are counted
_SAMPLE = 16  # finished jobs that are weighed
_SAMPLE_EVERY = 30.0  # seconds
# Bytes of one job's entries in the sorted sets, which belong to no key of its own:
# docs/log.md
_INDEX_BYTES = 512


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


_PRIORITIES = tuple(reversed(Priority))  # as in jobs/scripts/prelude.lua


class WaitingView(BaseModel):
    """Jobs that wait."""

    jobs: int = Field(description="how many")
    oldest_age: float = Field(description="age of the oldest in seconds; 0 of none")


class QueueView(BaseModel):
    """The job store at this moment."""

    waiting: dict[Priority, WaitingView] = Field(
        description="by priority, jobs that a worker could have now"
    )
    all_waiting: WaitingView  # also jobs put off, and those of owners at their max_running
    leased: int = Field(description="jobs that a worker holds")
    suspects: int = Field(description="jobs that died with a worker and wait to run alone")
    delayed: int = Field(description="jobs put off because the storage was unavailable")
    results_due: int = Field(description="jobs that are over for longer than results live")
    webhooks_due: int = Field(description="webhooks to be sent")
    workers: int = Field(description="that are alive")
    used_bytes: int = Field(description="memory that Redis uses")
    limit_bytes: int | None = Field(description="memory that Redis may use; null without a limit")

    @classmethod
    def parse(cls, answer: list[Any]) -> QueueView:
        """From the answer of ``jobs/scripts/gauges.lua``, whose counts stand in the order above."""
        lines, counts = answer
        pairs = zip(lines[::2], lines[1::2], strict=True)
        waiting = [WaitingView(jobs=int(jobs), oldest_age=float(age)) for jobs, age in pairs]
        by_priority = dict(zip(_PRIORITIES, waiting[:-1], strict=True))
        names = list(cls.model_fields)[2:]
        named: dict[str, Any] = dict(zip(names, map(int, counts), strict=True))
        named["limit_bytes"] = named["limit_bytes"] or None
        return cls(waiting=by_priority, all_waiting=waiting[-1], **named)


class UsageView(BaseModel):
    """Jobs of one owner."""

    owner: str = Field(description="id of a key; empty for jobs of a time without keys")
    jobs: int = Field(description="created within the hours, and not erased")
    unfinished: int = Field(description="that wait or run")


@translate_errors
class StoreLoad:
    """A part of :class:`jobs.redis_store.JobStore`. Methods block, and are safe to call from
    several threads.
    """

    def __init__(
        self, client: redis.Redis, prefix: str = "mmml:", memory_limit: int | None = None
    ) -> None:
        self._client, self._prefix, self._memory_limit = client, prefix, memory_limit
        self._measured_at = float("-inf")
        self._bytes_per_job = BYTES_PER_JOB
        self._scripts = Scripts(client, prefix)

    def load(self) -> Load:
        """Counts and memory as they are now; the weight of a job is at most half a minute old."""
        waiting, unfinished, workers, used, limit = self._scripts.call("load")
        limit = min(filter(None, (self._memory_limit, limit)), default=None)
        return Load(waiting, unfinished, workers, used, limit, self._measured_bytes())

    def throughput(self) -> Throughput:
        """How fast room is made; all times are the server's."""
        final = self._prefix + "final"
        with self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(self._prefix + "queued", 0, 0, withscores=True)
            pipe.zrangebyscore(final, "(0", "+inf", start=0, num=1, withscores=True)
            (seconds, micro), queued, oldest = pipe.execute()
        now = seconds + micro / 1e6
        # Only as far back as jobs have been waiting: what ended before that says how busy the
        # clients were, not how fast the workers are.
        busy = now - queued[0][1] if queued else _WINDOW
        window = min(max(busy, 1.0), _WINDOW)
        ended = self._client.zcount(final, now - window, now)
        oldest_age = now - oldest[0][1] if oldest else None
        return Throughput(now, ended / window if ended else None, oldest_age)

    def gauges(self, result_ttl: float) -> QueueView:
        """For operators. ``result_ttl``: lifetime of results in seconds."""
        return QueueView.parse(self._scripts.call("gauges", result_ttl))

    def _measured_bytes(self) -> int:
        """Bytes of the heaviest of the newest finished jobs."""
        if time.monotonic() - self._measured_at > _SAMPLE_EVERY:
            self._measured_at = time.monotonic()
            with suppress(redis.ResponseError):  # a managed server may not offer MEMORY
                self._bytes_per_job = self._measure()
        return self._bytes_per_job

    def _measure(self) -> int:
        newest: Any = self._client.zrevrange(self._prefix + "final", 0, _SAMPLE - 1)
        with self._client.pipeline(transaction=False) as pipe:
            for job_id in newest:
                pipe.memory_usage(f"{self._prefix}job:{job_id.decode()}", samples=0)
                pipe.memory_usage(f"{self._prefix}events:{job_id.decode()}")
            sizes = [size or 0 for size in pipe.execute()]
        jobs = [a + b + _INDEX_BYTES for a, b in zip(sizes[::2], sizes[1::2], strict=True)]
        return max(jobs, default=BYTES_PER_JOB)
