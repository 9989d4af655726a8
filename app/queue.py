"""Sending jobs to workers. A message is only a hint: what goes missing here, the steward sends
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import redis

from jobs.errors import JobsError
from jobs.wire import JOBS_HEADER, QUEUE, celery_message

_COUNTED = 1000  # messages at a time: a millisecond of the server

# How many jobs the messages from ARGV[1] to ARGV[2] of the queue are for.
_COUNT = f"""
local jobs = 0
for _, text in ipairs(redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  jobs = jobs + (tonumber(string.match(text, '"{JOBS_HEADER}": ?(%d+)')) or 1)
end
return jobs
"""


class QueueError(JobsError):
    """The broker did not take the message in time."""


class Queue(Protocol):
    """Where job ids go."""

    def publish(self, *job_ids: str) -> None:
        """Send one hint, for one job or for several that one worker is to take together. Raises
        QueueError when the broker does not take it in time.
        """
        ...

    def publish_all(self, hints: Sequence[Sequence[str]]) -> None:
        """Send several hints, all or none of them."""
        ...

    def waiting(self) -> int:
        """How many jobs the messages are for that no worker has taken yet."""
        ...


class RedisQueue:
    """Messages to the Celery workers. ``client`` says how long a slow broker is waited for."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(self, *job_ids: str) -> None:
        self.publish_all([job_ids])

    def publish_all(self, hints: Sequence[Sequence[str]]) -> None:
        try:
            self._client.lpush(QUEUE, *map(celery_message, hints))
        except redis.RedisError as error:
            raise QueueError(f"the broker did not take the message: {error}") from error

    def waiting(self) -> int:
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for start in range(0, self._client.llen(QUEUE), _COUNTED):
                    pipe.eval(_COUNT, 1, QUEUE, start, start + _COUNTED - 1)
                return sum(pipe.execute())
        except redis.RedisError as error:
            raise QueueError(f"the broker can't be reached: {error}") from error


class MemoryQueue:
    """Keeps ids in a list, for tests. ``broken`` makes it refuse them."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False

    def publish(self, *job_ids: str) -> None:
        if self.broken:
            raise QueueError("the broker did not take the message")
        self.sent.extend(job_ids)

    def publish_all(self, hints: Sequence[Sequence[str]]) -> None:
        for job_ids in hints:
            self.publish(*job_ids)

    def waiting(self) -> int:
        return len(self.sent)
