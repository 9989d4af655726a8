"""Messages on a real broker: how many jobs they are for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from app.queue import CeleryQueue
from jobs.redis_store import connect
from jobs.wire import QUEUE


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    made = connect(valkey.replace("db=0", "db=3"))
    made.delete(QUEUE)
    yield made
    made.delete(QUEUE)
    made.close()


def test_jobs_are_counted_not_messages(valkey: str, client: redis.Redis) -> None:
    queue = CeleryQueue(valkey.replace("db=0", "db=3"), client)
    assert queue.waiting() == 0
    queue.publish("a")
    queue.publish("b", "c", "d")
    assert client.llen(QUEUE) == 2
    assert queue.waiting() == 4


def test_a_message_of_an_earlier_version_is_for_one_job(valkey: str, client: redis.Redis) -> None:
    queue = CeleryQueue(valkey, client)
    client.lpush(QUEUE, '{"body": "…", "headers": {"task": "mmml.run"}}')
    assert queue.waiting() == 1


def test_a_long_queue_is_counted_in_pieces(valkey: str, client: redis.Redis) -> None:
    queue = CeleryQueue(valkey, client)
    client.lpush(QUEUE, *['{"headers": {"jobs": 2}}'] * 2500)
    assert queue.waiting() == 5000
