"""What becomes of messages that a worker has taken from a real broker."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection, Queue
from kombu.transport.virtual import Channel, Message

from app.embedded import broker_command, wait_for_socket
from jobs.redis_store import connect
from jobs.wire import QUEUE, celery_message
from tests.workers.conftest import Shop
from workers.celery_app import build

DB = 4


@pytest.fixture
def client(valkey: str) -> Iterator[redis.Redis]:
    made = connect(valkey.replace("db=0", f"db={DB}"))
    made.flushdb()
    yield made
    made.flushdb()
    made.close()


@pytest.fixture
def broker(valkey: str, shop: Shop) -> Iterator[Connection]:
    """Connected as a worker is."""
    app = build(valkey.replace("db=0", f"db={DB}"), shop.runner, lambda: None)
    with app.connection_for_read() as connection:
        yield connection


def opened(broker: Connection) -> Channel:
    channel: Channel = broker.channel()
    Queue(QUEUE)(channel).declare()
    return channel


def taken(channel: Channel) -> Message:
    message = channel.basic_get(QUEUE)
    assert message is not None
    return message


def ids_in(client: redis.Redis) -> list[list[str]]:
    bodies = [json.loads(text)["body"] for text in client.lrange(QUEUE, 0, -1)]  # type: ignore[union-attr]
    return [json.loads(base64.b64decode(body))[1]["job_ids"] for body in bodies]


def test_what_was_taken_leaves_no_trace_in_redis(client: redis.Redis, broker: Connection) -> None:
    client.lpush(QUEUE, celery_message(["a"]))
    channel = opened(broker)
    before = set(client.keys()) - {QUEUE.encode()}  # type: ignore[arg-type]
    message = taken(channel)
    assert set(client.keys()) == before  # type: ignore[arg-type]
    message.ack()
    channel.close()
    assert set(client.keys()) == before  # type: ignore[arg-type]


def test_what_is_refused_goes_back_as_it_was(client: redis.Redis, broker: Connection) -> None:
    client.lpush(QUEUE, celery_message(["a", "b"]))
    channel = opened(broker)
    taken(channel).reject(requeue=True)
    assert ids_in(client) == [["a", "b"]]
    again = taken(channel)
    assert again.decode()[1]["job_ids"] == ["a", "b"]
    again.ack()


def test_what_is_held_when_the_worker_ends_goes_back(
    client: redis.Redis, broker: Connection
) -> None:
    client.lpush(QUEUE, celery_message(["a"]), celery_message(["b"]))
    channel = opened(broker)
    taken(channel).ack()
    taken(channel)
    channel.close()
    assert ids_in(client) == [["b"]]


def test_no_more_is_taken_than_may_be_held(client: redis.Redis, broker: Connection) -> None:
    client.lpush(QUEUE, celery_message(["a"]), celery_message(["b"]))
    channel = opened(broker)
    channel.basic_qos(0, 1, False)
    first = taken(channel)
    assert not channel.qos.can_consume()
    first.ack()
    assert channel.qos.can_consume()


def test_a_broker_that_goes_away_leaves_nothing_behind(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with tempfile.TemporaryDirectory(prefix="mmml-") as folder:  # sockets have short paths
        socket = Path(folder) / "v.sock"
        process = subprocess.Popen(broker_command(Path(folder), socket), stdout=subprocess.DEVNULL)
        try:
            wait_for_socket(socket)
            url = f"unix://{socket}?db=0"
            connect(url).lpush(QUEUE, celery_message(["a"]))
            broker = build(url, shop.runner, lambda: None).connection_for_read()
            taken(opened(broker))
        finally:
            process.kill()
            process.wait(10)
        broker.collect()  # what a worker does when it loses the connection
    assert not [r for r in caplog.records if r.levelname == "ERROR"]
