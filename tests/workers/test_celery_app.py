"""Wake-ups by Celery's own publisher and transport, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from kombu import Connection, Queue
from kombu.transport.virtual import Channel, Message

from app.gateway.enqueue import WakeUpSender
from jobs.connections import QUEUE, TASK_NAME, wakeups_key
from workers.worker import build_app, send_wakeup


@pytest.fixture
def broker(valkey: str, prefix: str) -> Iterator[Connection]:
    """Connected as a worker is."""
    app = build_app(valkey, prefix, lambda: None, lambda: False)
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


def test_a_gateway_wakes_as_many_workers_as_it_says(
    valkey: str, prefix: str, redis_client: redis.Redis, broker: Connection
) -> None:
    WakeUpSender(valkey, prefix).send(2)
    assert redis_client.llen(wakeups_key(prefix)) == 2
    channel = opened(broker)
    assert taken(channel).headers["task"] == TASK_NAME


def test_a_broker_that_is_away_costs_a_wake_up_and_nothing_else(prefix: str) -> None:
    WakeUpSender("redis://127.0.0.1:1/0", prefix).send(1)
    send_wakeup(build_app("redis://127.0.0.1:1/0", prefix, lambda: None, lambda: False))


def test_what_was_taken_leaves_no_trace_in_redis(
    valkey: str, prefix: str, redis_client: redis.Redis, broker: Connection
) -> None:
    send_wakeup(build_app(valkey, prefix, lambda: None, lambda: False))
    channel = opened(broker)
    bindings = {name for name in redis_client.keys(f"{prefix}*") if b"_kombu" in name}
    message = taken(channel)
    assert set(redis_client.keys(f"{prefix}*")) == bindings
    message.ack()
    channel.close()
    assert set(redis_client.keys(f"{prefix}*")) == bindings


def test_a_busy_worker_leaves_wake_ups_to_the_others(
    valkey: str, prefix: str, broker: Connection
) -> None:
    WakeUpSender(valkey, prefix).send(2)
    channel = opened(broker)
    channel.basic_qos(0, 1, False)
    first = taken(channel)
    assert not channel.qos.can_consume()
    first.ack()
    assert channel.qos.can_consume()


def test_a_wake_up_notifies_unless_the_worker_is_draining(valkey: str, prefix: str) -> None:
    heard: list[str] = []
    draining = False
    app = build_app(valkey, prefix, lambda: heard.append("now"), lambda: draining)
    app.tasks[TASK_NAME]()
    assert heard == ["now"]
    draining = True
    with pytest.raises(Exception, match="draining"):
        app.tasks[TASK_NAME]()
    assert heard == ["now"]
