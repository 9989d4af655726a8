"""A Redis server that could lose jobs is reported of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from app.gateway.server import create_app
from app.gateway.services import Services, redis_warnings
from jobs.connections import connect
from tests.services import LocalClient


@pytest.fixture
def server(valkey: str) -> Iterator[redis.Redis]:
    client = connect(valkey)
    before = client.config_get("maxmemory*")
    yield client
    client.config_set("maxmemory", before["maxmemory"])
    client.config_set("maxmemory-policy", before["maxmemory-policy"])
    client.close()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_server_that_evicts(server: redis.Redis, policy: str) -> None:
    server.config_set("maxmemory-policy", policy)
    (result,) = redis_warnings(server, 0)
    assert policy in result
    assert "noeviction" in result


def test_a_server_without_a_limit(server: redis.Redis) -> None:
    server.config_set("maxmemory", 0)
    (result,) = redis_warnings(server, 0)
    assert "MMML_REDIS_MEMORY" in result
    assert redis_warnings(server, 2**29) == []


def test_one_that_is_as_it_should_be_or_does_not_tell(server: redis.Redis) -> None:
    assert redis_warnings(server, 0) == []
    away = connect("redis://127.0.0.1:1/0")
    assert redis_warnings(away, 0) == []


def test_readyz_and_the_log_say_so(
    services: Services, server: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    server.config_set("maxmemory-policy", "allkeys-lfu")
    services.redis_warnings = lambda: redis_warnings(server, 0)
    with LocalClient(create_app(services.settings, services)) as client:
        assert "allkeys-lfu" in caplog.text
        services.store.heartbeat("worker", {"device": "cpu"}, 60)
        assert "allkeys-lfu" in client.get("/readyz").json()["warnings"][0]
        server.config_set("maxmemory-policy", "noeviction")
        assert "warnings" not in client.get("/readyz").json()
