"""Which addresses, host names and origins are answered."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.gateway.server import create_app
from app.gateway.services import Services
from tests.app.gateway.conftest import PUBLIC, bearer, problem
from tests.services import LocalClient, listening


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


def test_strange_hosts_and_origins_are_refused(client: TestClient) -> None:
    strange = problem(client.get("/healthz", headers={"host": "evil.example"}), 400)
    assert "host name" in strange["detail"]
    page = {"origin": "https://evil.example"}
    refused = problem(client.post("/synthesize", json={"text": "a bird"}, headers=page), 403)
    assert "may not use" in refused["detail"]
    assert client.get("/healthz", headers={"origin": "http://localhost:8000"}).status_code == 200
    assert client.get("/healthz", headers={"authorization": "Bearer x"}).status_code == 200


def test_with_keys_any_host_name_will_do_unless_named(
    keyed: Services, http: TestClient, mine: str
) -> None:
    strange = {"host": "evil.example"}
    assert http.get("/jobs", headers=bearer(mine) | strange).status_code == 200
    settings = keyed.settings.model_copy(update={"allowed_hosts": ("pictures.example",)})
    with LocalClient(create_app(settings, Services(settings)), base_url=PUBLIC) as named:
        assert named.get("/healthz").status_code == 200
        problem(named.get("/healthz", headers=strange), 400)


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
    assert ("one Host header" in answer) is (status == 400)
