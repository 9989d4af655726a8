"""Sending jobs to workers. A message is only a hint: what goes missing here, the steward sends
again.
"""

from __future__ import annotations

from typing import Protocol

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from jobs.errors import JobsError
from jobs.wire import QUEUE, TASK_NAME, celery_config, message


class QueueError(JobsError):
    """The broker did not take the message in time."""


class Queue(Protocol):
    """Where job ids go."""

    def publish(self, job_id: str) -> None:
        """Send one hint. Raises QueueError within about two seconds."""
        ...

    def waiting(self) -> int:
        """How many messages no worker has taken yet."""
        ...


class CeleryQueue:
    """Messages to the Celery workers, without retries: a slow broker must not hold a request."""

    def __init__(self, redis_url: str, client: redis.Redis) -> None:
        config = celery_config(redis_url)
        config["broker_transport_options"] |= {"socket_timeout": 2, "socket_connect_timeout": 1}
        self._celery = Celery("mmml", set_as_current=False)
        self._celery.conf.update(config)
        self._client = client

    def publish(self, job_id: str) -> None:
        try:
            self._celery.send_task(
                TASK_NAME, kwargs=message(job_id), queue=QUEUE, ignore_result=True, retry=False
            )
        except (OperationalError, redis.RedisError, OSError) as error:
            raise QueueError(f"the broker did not take the message: {error}") from error

    def waiting(self) -> int:
        try:
            return self._client.llen(QUEUE)
        except redis.RedisError as error:
            raise QueueError(f"the broker can't be reached: {error}") from error


class MemoryQueue:
    """Keeps ids in a list, for tests. ``broken`` makes it refuse them."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False

    def publish(self, job_id: str) -> None:
        if self.broken:
            raise QueueError("the broker did not take the message")
        self.sent.append(job_id)

    def waiting(self) -> int:
        return len(self.sent)
