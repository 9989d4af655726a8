"""Measures a Redis job store: one round trip for what every submission asks, another for what a
refusal needs.
"""

from __future__ import annotations

import time
from typing import Any

import redis

from jobs.load import BYTES_PER_JOB, Load, Throughput
from jobs.redis_scripts import Scripts

_SAMPLE = 16  # finished jobs that are weighed
_SAMPLE_EVERY = 30.0  # seconds
# Bytes of one job's entries in the sorted sets, which belong to no key of its own:
# docs/log.md
_INDEX_BYTES = 512


class RedisGauge:
    """Raises redis.RedisError when the server can't be reached."""

    def __init__(self, client: redis.Redis, prefix: str, memory_limit: int | None) -> None:
        self._client, self._prefix, self._limit = client, prefix, memory_limit
        self._measured_at = float("-inf")
        self._bytes_per_job = BYTES_PER_JOB
        self._scripts = Scripts(client, prefix)

    def load(self) -> Load:
        """Counts and memory as they are now; the weight of a job is at most half a minute old."""
        waiting, unfinished, workers, used, limit = self._scripts.call("load")
        return Load(
            waiting=waiting,
            unfinished=unfinished,
            workers=workers,
            used_bytes=used,
            limit_bytes=self._limit or limit or None,
            bytes_per_job=self._measured_bytes(),
        )

    def throughput(self) -> Throughput:
        """See :class:`jobs.load.Drain`; all times are the server's."""
        final = self._prefix + "final"
        with self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrange(self._prefix + "queued", 0, 0, withscores=True)
            pipe.zrangebyscore(final, "(0", "+inf", start=0, num=1, withscores=True)
            (seconds, micro), queued, oldest = pipe.execute()
        now = seconds + micro / 1e6
        window = Throughput.window(now, queued[0][1] if queued else None)
        ended = self._client.zcount(final, now - window, now)
        return Throughput.from_count(now, ended, window, now - oldest[0][1] if oldest else None)

    def _measured_bytes(self) -> int:
        """Bytes of the heaviest of the newest finished jobs."""
        if time.monotonic() - self._measured_at > _SAMPLE_EVERY:
            self._measured_at = time.monotonic()
            try:
                self._bytes_per_job = self._measure()
            except redis.ResponseError:  # a managed server may not offer MEMORY
                self._bytes_per_job = BYTES_PER_JOB
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
