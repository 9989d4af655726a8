"""Sessions of one key are bounded: what one browser forgets can't fill the store."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
import redis
from fastapi.testclient import TestClient

from app.gateway.api_keys import MOST_SESSIONS, SessionStore
from app.gateway.services import Services
from jobs.connections import connect
from tests.app.gateway.test_access import bearer, http, keyed, mine

__all__ = ["http", "keyed", "mine"]  # fixtures

_numbers = itertools.count()


@pytest.fixture
def prefix() -> str:
    return f"s{next(_numbers)}-{os.getpid()}:"


@pytest.fixture
def server(valkey: str) -> Iterator[redis.Redis]:
    client = connect(valkey)
    yield client
    client.close()


def test_a_further_session_ends_the_oldest(server: redis.Redis, prefix: str) -> None:
    sessions = SessionStore(server, prefix)
    for number in range(MOST_SESSIONS + 5):
        sessions.put(f"d{number}", "mine", 60)
    sessions.put("other", "theirs", 60)
    alive = [n for n in range(MOST_SESSIONS + 5) if sessions.get(f"d{n}") == "mine"]
    assert alive == list(range(5, MOST_SESSIONS + 5))
    assert sessions.get("other") == "theirs"
    assert len(list(server.scan_iter(f"{prefix}*"))) == MOST_SESSIONS + 3


def test_those_that_were_ended_do_not_count(server: redis.Redis, prefix: str) -> None:
    sessions = SessionStore(server, prefix)
    sessions.put("kept", "mine", 60)
    for number in range(2 * MOST_SESSIONS):
        sessions.put(f"d{number}", "mine", 60)
        sessions.remove(f"d{number}")
    assert sessions.get("kept") == "mine"
    sessions.remove("kept")
    sessions.remove("never")
    assert not list(server.scan_iter(f"{prefix}*"))


def test_the_server_forgets_them_in_time(server: redis.Redis, prefix: str) -> None:
    SessionStore(server, prefix).put("d", "mine", 60)
    assert all(0 < server.ttl(key) <= 60 for key in server.scan_iter(f"{prefix}*"))


def test_logins_have_a_rate(http: TestClient, keyed: Services, mine: str) -> None:
    keyed.settings.rate_login = "3/minute"
    answers = [http.post("/session", headers=bearer(mine)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429]
    assert answers[3].headers["retry-after"]
    assert http.get("/session", headers=bearer(mine)).status_code == 200
