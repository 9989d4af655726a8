"""Who gets in, and what they see there."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import StreamingResponse

from app.gateway.api_keys import (
    ADMIN,
    READ,
    ApiKeyError,
    add_first_key,
    default_scopes,
    generate_key,
    new_api_key,
    revoke,
)
from app.gateway.auth import AccessError
from app.gateway.dependencies import Reader, StreamSlot
from app.gateway.server import WithoutSignatures, create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.job import Priority, Status
from tests.app.conftest import mask_png, png, succeed
from tests.moves import claimed
from tests.services import LocalClient, connected, listening

PUBLIC = "https://pictures.example"


def key_of(services: Services, name: str, scopes: set[str] | None = None, **limits: Any) -> str:
    text = generate_key()
    given = frozenset(scopes) if scopes else default_scopes()
    services.authenticator.keys.add(new_api_key(text, name, given, **limits))
    return text


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def keyed(weights: Path, valkey: str) -> Services:
    """A gateway that always asks for keys."""
    return connected(GatewaySettings(weights_dir=weights, require_keys=True), valkey)


@pytest.fixture
def mine(keyed: Services) -> str:
    return key_of(keyed, "mine")


@pytest.fixture
def http(keyed: Services, mine: str) -> Iterator[TestClient]:
    app = create_app(keyed.settings, keyed)
    with LocalClient(app, base_url=PUBLIC, raise_server_exceptions=False) as made:
        yield made


def submit(http: TestClient, key: str, **fields: Any) -> httpx.Response:
    return http.post("/synthesize", json={"text": "a bird", **fields}, headers=bearer(key))


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["detail"].endswith((".", "!"))
    return body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/synthesize"),
        ("POST", "/manipulate"),
        ("POST", "/inpaint"),
        ("GET", "/jobs"),
        ("GET", "/jobs/x"),
        ("DELETE", "/jobs/x"),
        ("POST", "/jobs/x/cancel"),
        ("GET", "/jobs/x/images/0"),
        ("GET", "/jobs/x/events"),
        ("GET", "/webhooks/secret"),
        ("GET", "/models"),
        ("GET", "/models/paper/vocabulary"),
        ("GET", "/models/paper/picture"),
        ("GET", "/session"),
        ("POST", "/session"),
    ],
)
def test_nothing_without_a_key(http: TestClient, mine: str, method: str, path: str) -> None:
    strangers: list[dict[Any, Any]] = [
        {},
        {b"authorization": b"Bearer \xff\xfe"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {'x' * 5000}"},
        bearer("mmml_wrong"),
        bearer(mine[:-1]),
        {"Authorization": f"Basic {mine}"},
        {"X-API-Key": mine},
        {"Cookie": f"mmml_session={mine}"},
    ]
    for headers in strangers:
        response = http.request(method, path, headers=headers)
        problem(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert problem(http.request(method, f"{path}?api_key={mine}&key={mine}"), 401)


def test_the_schema_knows_every_route_that_is_not_closed(http: TestClient) -> None:
    """A new route must decide for itself whether it is open."""
    schema = http.get("/openapi.json").json()
    open_routes = {
        f"{method} {path}"
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if not operation.get("security")
    }
    signed = "get /v1/images/{job_id}/{index}"  # whose address is its own permission
    assert open_routes == {"get /healthz", "get /readyz", signed}


def test_the_schema_names_keys_sessions_and_problems(http: TestClient) -> None:
    schema = http.get("/openapi.json").json()
    schemes = schema["components"]["securitySchemes"]
    assert schemes["API key"]["scheme"] == "bearer"
    assert schemes["Session"]["in"] == "cookie"
    look = schema["paths"]["/jobs/{job_id}"]["get"]
    assert {name for one in look["security"] for name in one} == {"API key", "Session"}
    for code in ("422", "default"):
        assert "application/problem+json" in look["responses"][code]["content"]


def test_a_key_does_what_it_is_for(http: TestClient, keyed: Services, mine: str) -> None:
    job = submit(http, mine).json()
    assert keyed.store.get(job["id"]).owner  # type: ignore[union-attr]
    succeed(keyed, job["id"])
    assert http.get(f"/jobs/{job['id']}", headers=bearer(mine)).json()["status"] == "succeeded"
    picture = http.get(f"/jobs/{job['id']}/images/0", headers=bearer(mine))
    assert picture.content.startswith(b"\x89PNG")
    assert "private" in picture.headers["cache-control"]
    assert http.delete(f"/jobs/{job['id']}", headers=bearer(mine)).status_code == 204
    assert http.get(f"/jobs/{job['id']}", headers=bearer(mine)).status_code == 410


def test_another_keys_job_is_as_good_as_none(http: TestClient, keyed: Services, mine: str) -> None:
    theirs = key_of(keyed, "theirs")
    job = submit(http, theirs).json()["id"]
    succeed(keyed, job)
    unknown = "0" * 32
    for method, path in [
        ("GET", "/jobs/{}"),
        ("GET", "/jobs/{}?wait=5"),
        ("GET", "/jobs/{}/images/0"),
        ("GET", "/jobs/{}/images/99"),
        ("POST", "/jobs/{}/cancel"),
        ("DELETE", "/jobs/{}"),
    ]:
        answers = [
            http.request(method, path.format(name), headers=bearer(mine)) for name in (job, unknown)
        ]
        assert [a.status_code for a in answers] == [404, 404], path
        assert answers[0].json()["detail"] == answers[1].json()["detail"]
    photo = {"text": "a bird", "image": f"/jobs/{job}/images/0"}
    there = http.post("/manipulate", json=photo, headers=bearer(mine))
    none = http.post(
        "/manipulate",
        json={**photo, "image": f"/jobs/{unknown}/images/0"},
        headers=bearer(mine),
    )
    assert problem(there, 422)["detail"].replace(job, unknown) == problem(none, 422)["detail"]
    assert http.get("/jobs", headers=bearer(mine)).json()["jobs"] == []
    assert [j["id"] for j in http.get("/jobs", headers=bearer(theirs)).json()["jobs"]] == [job]
    keyed.store.expire(job)
    assert http.get(f"/jobs/{job}", headers=bearer(mine)).status_code == 404
    assert http.get(f"/jobs/{job}", headers=bearer(theirs)).status_code == 410


def test_an_administrator_sees_every_job(http: TestClient, keyed: Services, mine: str) -> None:
    boss = key_of(keyed, "boss", {ADMIN, READ})
    job = submit(http, mine).json()["id"]
    assert [j["id"] for j in http.get("/jobs", headers=bearer(boss)).json()["jobs"]] == [job]
    assert http.post(f"/jobs/{job}/cancel", headers=bearer(boss)).json()["status"] == "canceled"


def test_a_key_takes_over_anothers_jobs(http: TestClient, keyed: Services, mine: str) -> None:
    job = submit(http, mine).json()["id"]
    old = keyed.authenticator.keys.all()[0]
    new = key_of(keyed, "new", owner=old.owner)
    revoke(keyed.authenticator.keys, old.id)
    assert http.get(f"/jobs/{job}", headers=bearer(new)).status_code == 200
    problem(http.get(f"/jobs/{job}", headers=bearer(mine)), 401)


def test_scopes_are_kept(http: TestClient, keyed: Services) -> None:
    painter = key_of(keyed, "painter", {"inpaint"})
    refused = problem(submit(http, painter), 403)
    assert refused["scope"] == "synthesize"
    assert "inpaint" in refused["detail"]
    problem(http.get("/jobs", headers=bearer(painter)), 403)
    files = {"image": png(), "mask": mask_png()}
    made = http.post("/inpaint", data={"text": "a bird"}, files=files, headers=bearer(painter))
    assert made.status_code == 202
    watcher = key_of(keyed, "watcher", {READ}, owner=keyed.authenticator.keys.all()[1].owner)
    job = made.json()["id"]
    assert http.get(f"/jobs/{job}", headers=bearer(watcher)).status_code == 200
    problem(http.delete(f"/jobs/{job}", headers=bearer(watcher)), 403)
    assert http.delete(f"/jobs/{job}", headers=bearer(painter)).status_code == 204


def test_too_many_jobs_are_429(http: TestClient, keyed: Services) -> None:
    slow = key_of(keyed, "slow", rate="2/minute")
    first = submit(http, slow)
    assert first.headers["ratelimit-policy"] == '"submit";q=2;w=60'
    assert first.headers["ratelimit"].startswith('"submit";r=1;t=')
    submit(http, slow)
    response = submit(http, slow)
    result = problem(response, 429)
    assert result["violated-policies"] == ["submit"]
    assert "2 per 1 minute" in result["detail"]
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert response.headers["ratelimit"].startswith('"submit";r=0;t=')
    assert http.get("/jobs", headers=bearer(slow)).status_code == 200
    # It is refused before its body is looked at.
    broken = http.post("/synthesize", content=b"{", headers=bearer(slow))
    assert broken.status_code == 429


def test_reading_has_a_rate_of_its_own(weights: Path, valkey: str) -> None:
    settings = GatewaySettings(weights_dir=weights, require_keys=True, rate_read="2/minute")
    services = connected(settings, valkey)
    key = key_of(services, "eager")
    with LocalClient(create_app(settings, services)) as http:
        answers = [http.get("/jobs", headers=bearer(key)) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"read";q=2;w=60'
        assert http.get("/healthz").status_code == 200


def test_pictures_of_a_day(http: TestClient, keyed: Services) -> None:
    daily = key_of(keyed, "daily", pictures_per_day=5)
    assert submit(http, daily, count=3).status_code == 202
    result = problem(submit(http, daily, count=3), 429)
    assert "2 are left" in result["detail"]
    assert result["violated-policies"] == ["pictures"]
    problem(submit(http, daily, count=99), 422)  # costs nothing
    assert submit(http, daily, count=2).status_code == 202


def test_unfinished_jobs_of_a_key(http: TestClient, keyed: Services, mine: str) -> None:
    few = key_of(keyed, "few", max_active=1)
    job = submit(http, few).json()["id"]
    response = submit(http, few)
    problem(response, 429)
    assert response.headers["retry-after"]
    assert submit(http, mine).status_code == 202
    http.post(f"/jobs/{job}/cancel", headers=bearer(few))
    assert submit(http, few).status_code == 202


def test_who_am_i(http: TestClient, client: TestClient, mine: str) -> None:
    result = http.get("/session", headers=bearer(mine)).json()
    assert (result["open"], result["name"]) == (False, "mine")
    assert result["scopes"] == sorted(default_scopes())
    assert mine not in str(result)
    assert client.get("/session").json()["open"] is True


def test_a_page_trades_its_key_for_a_cookie(http: TestClient, keyed: Services, mine: str) -> None:
    started = http.post("/session", headers=bearer(mine))
    cookie = started.headers["set-cookie"]
    assert started.status_code == 204
    for part in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
        assert part in cookie
    assert mine not in cookie
    job = submit(http, mine).json()["id"]
    succeed(keyed, job)
    assert http.get(f"/jobs/{job}/images/0").status_code == 200  # as <img src> does
    problem(http.post("/synthesize", json={"text": "a bird"}), 403)
    for origin in ("https://evil.example", "null", "https://pictures.example:444", "http://[::1"):
        strange = http.post("/synthesize", json={"text": "a bird"}, headers={"origin": origin})
        problem(strange, 403)
    own = http.post("/synthesize", json={"text": "a bird"}, headers={"origin": PUBLIC})
    assert own.status_code == 202
    assert http.delete("/session", headers={"origin": PUBLIC}).status_code == 204
    problem(http.get("/jobs"), 401)


def test_an_ended_session_can_not_be_used_again(http: TestClient, mine: str) -> None:
    http.post("/session", headers=bearer(mine))
    value = http.cookies["__Host-mmml_session"]
    http.delete("/session", headers={"origin": PUBLIC})
    problem(http.get("/jobs", headers={"cookie": f"__Host-mmml_session={value}"}), 401)


def test_an_open_service_ignores_keys_and_sets_no_cookie(client: TestClient) -> None:
    assert client.get("/jobs", headers=bearer("anything")).status_code == 200
    assert "set-cookie" not in client.post("/session").headers
    job = client.post("/synthesize", json={"text": "a bird"})
    assert "ratelimit" not in job.headers


def test_the_first_key_closes_an_open_service(services: Services, weights: Path) -> None:
    key = key_of(services, "first")
    with LocalClient(create_app(services.settings, services)) as http:
        problem(http.get("/jobs"), 401)
        revoke(services.authenticator.keys, "first")
        problem(http.get("/jobs", headers=bearer(key)), 401)  # and never opens it again


def test_an_open_service_is_for_this_machine(services: Services) -> None:
    arriving = Arriving(create_app(services.settings, services))
    with LocalClient(arriving) as http:
        for address in ("192.0.2.7", "0.0.0.0", "2001:db8::1", "::ffff:192.0.2.7"):  # noqa: S104
            for ends in ({"server": address}, {"client": address}):
                arriving.ends = ends
                result = problem(http.get("/healthz", headers={"host": "localhost"}), 403)
                assert "mmml keys create" in result["detail"]
        for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "/run/mmml.sock"):
            client = "" if address.startswith("/") else address
            arriving.ends = {"server": address, "client": client}
            assert http.get("/healthz", headers={"host": "localhost"}).status_code == 200


class Arriving:
    """The app, as if connections had certain ends."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.ends: dict[str, str] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope = {**scope, **{end: (address, 8000) for end, address in self.ends.items()}}
        await self._app(scope, receive, send)


def test_with_keys_any_host_name_will_do_unless_named(
    weights: Path, http: TestClient, valkey: str
) -> None:
    assert http.get("/healthz").status_code == 200
    settings = GatewaySettings(
        weights_dir=weights, require_keys=True, allowed_hosts=("pictures.example",)
    )
    services = connected(settings, valkey)
    key_of(services, "k")
    with LocalClient(create_app(settings, services), base_url=PUBLIC) as named:
        assert named.get("/healthz").status_code == 200
        problem(named.get("/healthz", headers={"host": "evil.example"}), 400)


def test_workers_names_are_not_for_strangers(http: TestClient, keyed: Services) -> None:
    keyed.store.heartbeat("host-17", {"device": "cpu"}, 10)
    response = http.get("/readyz")
    assert response.json() == {"status": "ready", "workers": 1}
    for scope, sees in ((READ, False), (ADMIN, True)):
        seen = http.get("/readyz", headers=bearer(key_of(keyed, scope, {scope}))).json()
        assert ("tasks" in seen) is sees
        assert ("host-17" in str(seen)) is sees
    assert http.get("/readyz", headers=bearer("mmml_wrong")).json()["workers"] == 1


def test_no_start_without_the_keys_that_are_required(weights: Path, valkey: str) -> None:
    settings = GatewaySettings(weights_dir=weights, require_keys=True)
    with (
        pytest.raises(AccessError, match="mmml keys create"),
        LocalClient(create_app(settings, connected(settings, valkey))),
    ):
        pass


def test_the_first_key_comes_from_a_file(
    valkey: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = generate_key()
    (tmp_path / "key").write_text(f"{key}\n")
    monkeypatch.setenv("MMML_FIRST_KEY_FILE", str(tmp_path / "key"))
    settings = GatewaySettings(weights_dir=weights, require_keys=True)
    assert key not in repr(settings)
    with LocalClient(create_app(settings, connected(settings, valkey))) as http:
        result = http.get("/session", headers=bearer(key)).json()
        assert result["name"] == "first"
        assert ADMIN in result["scopes"]


def test_event_streams_are_bounded_and_given_back(keyed: Services) -> None:
    keyed.stream_slots.limit = 2
    one, other = key_of(keyed, "one"), key_of(keyed, "other")
    app = create_app(keyed.settings, keyed)

    @app.get("/stream", dependencies=[StreamSlot])
    async def stream(_caller: Reader) -> StreamingResponse:
        async def words() -> Any:
            yield str(keyed.stream_slots.in_use)  # while the answer is being sent

        return StreamingResponse(words())

    with LocalClient(app) as http:
        for _ in range(5):
            assert http.get("/stream", headers=bearer(one)).text == "1"
        assert keyed.stream_slots.in_use == 0
        name = keyed.authenticator.keys.all()[0].id
        with keyed.stream_slots.acquire(name), keyed.stream_slots.acquire(name):
            refused = http.get("/stream", headers=bearer(one))
            assert "2 event streams" in problem(refused, 429)["detail"]
            assert http.get("/stream", headers=bearer(other)).status_code == 200
        assert http.get("/stream", headers=bearer(one)).status_code == 200


def test_a_priority_above_the_keys_is_refused(http: TestClient, keyed: Services) -> None:
    plain = key_of(keyed, "plain", set(default_scopes()))
    urgent = key_of(keyed, "urgent", set(default_scopes()), priority=Priority.high)
    wanted = {"json": {"text": "a bird", "priority": "high"}}
    refused = http.post("/synthesize", headers=bearer(plain), **wanted)
    assert refused.status_code == 403
    assert "priority normal at most" in refused.json()["detail"]
    taken = http.post("/synthesize", headers=bearer(urgent), **wanted)
    assert (taken.status_code, taken.json()["priority"]) == (202, "high")
    low = {"json": {"text": "a bird", "priority": "low"}}
    assert http.post("/synthesize", headers=bearer(plain), **low).status_code == 202


def test_a_keys_cap_is_the_stores_to_keep(http: TestClient, keyed: Services) -> None:
    key = key_of(keyed, "capped", set(default_scopes()), max_running=2)
    for _ in range(5):
        assert http.post("/synthesize", json={"text": "a bird"}, headers=bearer(key)).is_success
    assert len(claimed(keyed.store)) == 2


def test_an_administrator_may_look(http: TestClient, keyed: Services, mine: str) -> None:
    submit(http, mine)
    boss = new_api_key(text := generate_key(), "boss", {ADMIN})
    keyed.authenticator.keys.add(boss)
    assert len(http.get("/jobs", headers=bearer(text)).json()["jobs"]) == 1
    problem(submit(http, text), 403)


def test_wrong_keys_are_counted_by_address(http: TestClient, keyed: Services, mine: str) -> None:
    keyed.settings.rate_wrong_keys = "3/minute"
    answers = [http.get("/jobs", headers=bearer(generate_key())) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[4].headers["retry-after"]
    assert http.get("/jobs", headers=bearer(mine)).status_code == 200


@pytest.mark.parametrize(
    "weak", ["a" * 40, "abcd" * 10, "mmml_" + "0" * 40, "key with spaces in it " * 3]
)
def test_a_first_key_that_could_be_guessed_is_refused(keyed: Services, weak: str) -> None:
    with pytest.raises(ApiKeyError, match="could be guessed"):
        add_first_key(keyed.authenticator.keys, weak)


def test_the_access_log_holds_no_signature() -> None:
    line = logging.makeLogRecord(
        {
            "args": (
                "1.2.3.4:5",
                "GET",
                "/v1/images/a/0?expires=9&signature=deadbeef00&x=1",
                "1.1",
                200,
            )
        }
    )
    assert WithoutSignatures().filter(line)
    assert "signature=dead…&x=1" in str(line.args)
    assert "beef" not in str(line.args)


@pytest.mark.parametrize(
    "name",
    [
        "unknown",
        "testclient",
        "testserver",
        "localhost",
        "_hidden",
        "10.0.0.1, 127.0.0.1",
        "::ffff:9.9.9.9",
    ],
)
def test_a_client_without_an_address_is_nobody_here(services: Services, name: str) -> None:
    app = create_app(services.settings, services)
    with LocalClient(app, client=(name, 0)) as client:
        problem(client.get("/jobs"), 403)
    with LocalClient(app, client=("::ffff:127.0.0.1", 0)) as client:
        assert client.get("/jobs").status_code == 200
        problem(client.get("/jobs", headers={"Host": "testserver"}), 400)


def test_what_a_key_has_open_ends_with_it(keyed: Services) -> None:
    keys = [key_of(keyed, name) for name in ("stream", "wait", "openai", "other")]
    with listening(keyed) as port, ThreadPoolExecutor(4) as pool:
        https = [
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer(key), timeout=20)
            for key in keys
        ]
        jobs = [h.post("/synthesize", json={"text": "a bird"}).json()["id"] for h in https]
        text = {"prompt": "a bird"}
        answers = [
            pool.submit(https[0].get, f"/jobs/{jobs[0]}/events"),
            pool.submit(https[1].get, f"/jobs/{jobs[1]}?wait=15"),
            pool.submit(https[2].post, "/v1/images/generations", json=text),
            pool.submit(https[3].get, f"/jobs/{jobs[3]}?wait=8"),
        ]
        time.sleep(1.0)
        for name in ("stream", "wait", "openai"):
            revoke(keyed.authenticator.keys, name)
        started = time.monotonic()
        assert "final" not in answers[0].result().text
        assert [answer.result().status_code for answer in answers[1:3]] == [401, 401]
        assert time.monotonic() - started < 5
        assert not answers[3].done()
        assert answers[3].result().json()["status"] == "queued"
        for http in https:
            http.close()


def behind_a_proxy(keyed: Services, **settings: Any) -> LocalClient:
    for name, value in settings.items():
        setattr(keyed.settings, name, value)
    return LocalClient(create_app(keyed.settings, keyed), base_url="http://gateway:8000")


def test_a_cookie_behind_tls_is_the_hosts_own(keyed: Services, mine: str) -> None:
    with behind_a_proxy(keyed, public_url=PUBLIC) as http:
        answer = http.post("/session", headers=bearer(mine))
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-mmml_session=")
        for word in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=strict"):
            assert word in cookie
        assert "Domain" not in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        ours = {"Cookie": f"__Host-mmml_session={value}"}
        assert http.get("/jobs", headers=ours).status_code == 200
        problem(http.get("/jobs", headers={"Cookie": f"mmml_session={value}"}), 401)
        body = {"json": {"text": "a bird"}}
        assert http.post("/synthesize", headers={**ours, "Origin": PUBLIC}, **body).is_success
        for origin in ("http://gateway:8000", "http://pictures.example", "https://evil.example"):
            problem(http.post("/synthesize", headers={**ours, "Origin": origin}, **body), 403)
        ended = http.delete("/session", headers={**ours, "Origin": PUBLIC})
        assert "__Host-mmml_session=" in ended.headers["set-cookie"]
        assert "; Secure" in ended.headers["set-cookie"]
        problem(http.get("/jobs", headers=ours), 401)


def test_addresses_behind_a_proxy_are_the_public_ones(keyed: Services, mine: str) -> None:
    request = {"json": {"prompt": "a bird", "response_format": "url"}, "headers": bearer(mine)}

    class Painter:
        def send(self, _count: int) -> None:
            waiting, _ = keyed.store.list_jobs(Status.queued, 100, None)
            for job in waiting:
                succeed(keyed, job.id)

    keyed.wakeups = Painter()  # type: ignore[assignment]
    with behind_a_proxy(keyed, public_url=PUBLIC) as http:
        made = http.post("/v1/images/generations", **request).json()  # type: ignore[arg-type]
        url = made["data"][0]["url"]
        assert url.startswith(f"{PUBLIC}/v1/images/")
        assert http.get(url.removeprefix(PUBLIC)).headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("trusted", "secure"), [((), False), (("10.0.0.0/8",), False), (("127.0.0.0/8",), True)]
)
def test_only_trusted_proxies_say_who_calls(
    keyed: Services, mine: str, trusted: tuple[str, ...], secure: bool
) -> None:
    changes = {"require_keys": True, "trusted_proxies": trusted}
    settings = keyed.settings.model_copy(update=changes)
    headers = {**bearer(mine), "X-Forwarded-Proto": "https", "X-Forwarded-For": "9.9.9.9"}
    with listening(Services(settings)) as port:
        answer = httpx.post(f"http://127.0.0.1:{port}/session", headers=headers)
    assert ("; Secure" in answer.headers["set-cookie"]) == secure


def test_no_public_url_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMML_PUBLIC_URL", "")  # as a Compose file passes what is not set
    assert GatewaySettings().public_url is None
    monkeypatch.setenv("MMML_PUBLIC_URL", "https://images.example/")
    assert GatewaySettings().public_url == "https://images.example"


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", ["127.0.0.1", "evil.example"], 400),
        ("1.1", ["127.0.0.1", "127.0.0.1"], 400),
        ("1.1", [""], 400),
        ("1.1", [" "], 400),
        ("1.1", [], 400),
        ("1.0", [], 200),
        ("1.1", ["127.0.0.1"], 200),
    ],
)
def test_a_request_names_one_host(
    keyed: Services, mine: str, version: str, hosts: list[str], status: int
) -> None:
    lines = [f"GET /session HTTP/{version}", f"Authorization: Bearer {mine}", "Connection: close"]
    request = "\r\n".join([*lines, *(f"Host: {host}" for host in hosts), "", ""])
    with listening(keyed) as port, socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(request.encode())
        answer = line.makefile("rb").read().decode()
    assert answer.startswith(f"HTTP/1.1 {status} ")


@pytest.mark.parametrize("path", ["/batches", "/admin/purge"])
def test_small_bodies_are_read_once_the_caller_is_known(
    keyed: Services, http: TestClient, path: str
) -> None:
    sent: dict[str, Any] = {"headers": {"Content-Type": "application/json"}}
    problem(http.post(path, content=b'{"webhook":', **sent), 401)  # not a word of the body
    sent["headers"] |= bearer(key_of(keyed, "operator", {"admin", "synthesize"}))
    found = problem(http.post(path, content=b'{"webhook":', **sent), 400)
    assert found["detail"].startswith("The body is not valid JSON;")
    many = b'{"webhook": [' + b"[]," * 30_000 + b"[]]}"  # in large: minutes of the event loop
    assert "far more values" in problem(http.post(path, content=many, **sent), 400)["detail"]
    large = b'{"webhook": "' + b"x" * 200_000 + b'"}'
    assert (
        "larger than the 128 kB" in problem(http.post(path, content=large, **sent), 413)["detail"]
    )
    form = bearer(sent["headers"]["Authorization"].split()[1])
    found = problem(http.post(path, data={"webhook": "x"}, headers=form), 415)
    assert "Send application/json" in found["detail"]
    found = problem(http.post(path, json={"webhook": 1, "owner": 1}, headers=form), 422)
    assert all(each["field"] in ("webhook", "owner") for each in found["errors"])


def test_nothing_is_purged_without_a_body(keyed: Services, http: TestClient) -> None:
    key = bearer(key_of(keyed, "operator", {"admin"}))
    problem(http.post("/admin/purge", headers=key), 415)
    assert http.post("/admin/purge", json={}, headers=key).json() == {"canceled": 0}
