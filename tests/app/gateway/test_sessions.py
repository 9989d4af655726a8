"""Sessions: what the cookie of a page may do, and how many one key has."""

from __future__ import annotations

import pytest
import redis
from fastapi.testclient import TestClient

from app.gateway.api_keys import MOST_SESSIONS, SessionStore, default_scopes
from app.gateway.server import create_app
from app.gateway.services import Services
from tests.app.conftest import succeed
from tests.app.gateway.conftest import PUBLIC, bearer, problem, submit
from tests.services import LocalClient


def test_a_further_session_ends_the_oldest(redis_client: redis.Redis, prefix: str) -> None:
    sessions = SessionStore(redis_client, prefix)
    for number in range(MOST_SESSIONS + 5):
        sessions.put(f"d{number}", "mine", 60)
    sessions.put("other", "theirs", 60)
    alive = [n for n in range(MOST_SESSIONS + 5) if sessions.get(f"d{n}") == "mine"]
    assert alive == list(range(5, MOST_SESSIONS + 5))
    assert sessions.get("other") == "theirs"
    assert len(list(redis_client.scan_iter(f"{prefix}*"))) == MOST_SESSIONS + 3


def test_those_that_were_ended_do_not_count(redis_client: redis.Redis, prefix: str) -> None:
    sessions = SessionStore(redis_client, prefix)
    sessions.put("kept", "mine", 60)
    for number in range(2 * MOST_SESSIONS):
        sessions.put(f"d{number}", "mine", 60)
        sessions.remove(f"d{number}")
    assert sessions.get("kept") == "mine"
    sessions.remove("kept")
    sessions.remove("never")
    assert not list(redis_client.scan_iter(f"{prefix}*"))


def test_the_server_forgets_them_in_time(redis_client: redis.Redis, prefix: str) -> None:
    SessionStore(redis_client, prefix).put("d", "mine", 60)
    assert all(0 < redis_client.ttl(key) <= 60 for key in redis_client.scan_iter(f"{prefix}*"))


def test_logins_have_a_rate(http: TestClient, keyed: Services, mine: str) -> None:
    keyed.settings.rate_login = "3/minute"
    answers = [http.post("/session", headers=bearer(mine)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429]
    assert answers[3].headers["retry-after"]
    assert http.get("/session", headers=bearer(mine)).status_code == 200


def test_who_am_i(http: TestClient, client: TestClient, mine: str) -> None:
    result = http.get("/session", headers=bearer(mine)).json()
    assert (result["open"], result["name"]) == (False, "mine")
    assert result["scopes"] == sorted(default_scopes())
    assert mine not in str(result)
    assert client.get("/session").json()["open"] is True


EVIL = ("", "https://evil.example", "null", "https://pictures.example:444", "http://[::1")


@pytest.mark.parametrize(
    ("base_url", "public_url", "others"),
    [
        (PUBLIC, None, EVIL),
        ("http://gateway:8000", PUBLIC, (*EVIL, "http://gateway:8000", "http://pictures.example")),
    ],
)
def test_a_cookie_behind_tls_is_the_hosts_own(
    keyed: Services, mine: str, base_url: str, public_url: str | None, others: tuple[str, ...]
) -> None:
    keyed.settings.public_url = public_url
    with LocalClient(create_app(keyed.settings, keyed), base_url=base_url) as http:
        started = http.post("/session", headers=bearer(mine))
        assert started.status_code == 204
        cookie = started.headers["set-cookie"]
        assert cookie.startswith("__Host-mmml_session=")
        for word in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=strict"):
            assert word in cookie
        assert "Domain" not in cookie
        assert mine not in cookie
        http.cookies.clear()
        value = cookie.partition("=")[2].partition(";")[0]
        ours = {"Cookie": f"__Host-mmml_session={value}"}
        problem(http.get("/jobs", headers={"Cookie": f"mmml_session={value}"}), 401)
        job = submit(http, mine).json()["id"]
        succeed(keyed, job)
        assert http.get(f"/jobs/{job}/images/0", headers=ours).status_code == 200  # <img src>
        body = {"text": "a bird"}
        assert http.post("/synthesize", headers=ours | {"Origin": PUBLIC}, json=body).is_success
        problem(http.post("/synthesize", headers=ours, json=body), 403)
        for origin in others:
            problem(http.post("/synthesize", headers=ours | {"Origin": origin}, json=body), 403)
        ended = http.delete("/session", headers=ours | {"Origin": PUBLIC})
        assert ended.status_code == 204
        assert "__Host-mmml_session=" in ended.headers["set-cookie"]
        assert "; Secure" in ended.headers["set-cookie"]
        problem(http.get("/jobs", headers=ours), 401)
