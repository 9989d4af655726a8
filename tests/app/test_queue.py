"""Messages on a real broker: how many jobs they are for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import cast

import pytest
import redis
from celery import Celery

from app.queue import RedisQueue
from jobs.redis_store import connect
from jobs.wire import JOBS_HEADER, QUEUE, TASK_NAME, celery_message, message


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    made = connect(valkey.replace("db=0", "db=3"))
    made.delete(QUEUE)
    yield made
    made.delete(QUEUE)
    made.close()


def test_jobs_are_counted_not_messages(client: redis.Redis) -> None:
    queue = RedisQueue(client)
    assert queue.waiting() == 0
    queue.publish("a")
    queue.publish("b", "c", "d")
    assert client.llen(QUEUE) == 2
    assert queue.waiting() == 4


def test_a_message_of_an_earlier_version_is_for_one_job(client: redis.Redis) -> None:
    queue = RedisQueue(client)
    client.lpush(QUEUE, '{"body": "…", "headers": {"task": "mmml.run"}}')
    assert queue.waiting() == 1


def test_a_long_queue_is_counted_in_pieces(client: redis.Redis) -> None:
    queue = RedisQueue(client)
    client.lpush(QUEUE, *['{"headers": {"jobs": 2}}'] * 2500)
    assert queue.waiting() == 5000


def test_a_message_is_what_celery_would_send() -> None:
    celery = Celery("mmml", broker="memory://", set_as_current=False)
    headers = {JOBS_HEADER: 2}
    celery.send_task(TASK_NAME, kwargs=message(["a", "b"]), queue=QUEUE, headers=headers)
    with celery.connection_for_read() as connection:
        theirs = connection.channel()._get(QUEUE)
    ours = json.loads(celery_message(["a", "b"]))
    assert ours["headers"].keys() == theirs["headers"].keys()
    assert ours["properties"].keys() == theirs["properties"].keys()
    assert ours["properties"]["delivery_info"] == theirs["properties"]["delivery_info"]
    assert base64.b64decode(ours["body"]) == base64.b64decode(theirs["body"])
    assert {k: ours[k] for k in ("content-type", "content-encoding")} == {
        k: theirs[k] for k in ("content-type", "content-encoding")
    }
    assert ours["headers"][JOBS_HEADER] == theirs["headers"][JOBS_HEADER] == 2
    assert ours["headers"]["id"] == ours["properties"]["correlation_id"]


def test_several_messages_are_sent_at_once(client: redis.Redis) -> None:
    RedisQueue(client).publish_all([["a", "b"], ["c"]])
    sent = [json.loads(text) for text in cast("list[bytes]", client.lrange(QUEUE, 0, -1))]
    bodies = [json.loads(base64.b64decode(one["body"]))[1]["job_ids"] for one in sent]
    assert bodies == [["c"], ["a", "b"]]  # the next to be taken stands last
