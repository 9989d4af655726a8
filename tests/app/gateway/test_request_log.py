"""Ids of requests, and their counts."""

from __future__ import annotations

import json
import logging
import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.dependencies import AnyCaller
from app.gateway.server import create_app, gateway_server
from app.gateway.services import Services
from jobs.logs import JsonFormatter
from tests.services import LocalClient


def requests(route: str, status: int) -> float:
    labels = {"route": route, "status": str(status)}
    return REGISTRY.get_sample_value("mmml_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/healthz", "/healthz", 200),
        ("/jobs/123", "/jobs/{job_id}", 404),
        ("/nowhere/at/all", "none", 404),
        ("/readyz", "/readyz", 503),
    ],
)
def test_requests_are_counted_by_route(
    client: TestClient, path: str, route: str, status: int
) -> None:
    before = requests(route, status)
    assert client.get(path).status_code == status
    assert requests(route, status) == before + 1


def test_what_is_refused_before_the_routes_is_counted(client: TestClient) -> None:
    before = requests("none", 400)
    answer = client.get("/healthz", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 400
    assert answer.headers["X-Request-ID"]
    assert requests("none", 400) == before + 1


def test_an_id_of_the_client_is_echoed(client: TestClient) -> None:
    assert (
        client.get("/healthz", headers={"X-Request-ID": "order-7"}).headers["X-Request-ID"]
        == "order-7"
    )


@pytest.mark.parametrize("given", ["", "x" * 129, 'a"b', "a b"])
def test_other_ids_are_replaced(client: TestClient, given: str) -> None:
    made = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{16}", made)


def test_an_unexpected_error_has_an_id_and_is_counted(services: Services) -> None:
    app: FastAPI = create_app(services.settings, services)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a fault of ours")

    before = requests("/broken", 500)
    with LocalClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert "its log has the details" in answer.json()["detail"]
    assert answer.headers["X-Request-ID"]
    assert requests("/broken", 500) == before + 1


def test_limits_are_counted_by_policy(services: Services) -> None:
    def limited() -> float:
        return REGISTRY.get_sample_value("mmml_rate_limited_total", {"policy": "submit"}) or 0.0

    text, keys = generate_key(), services.authenticator.keys
    keys.add(new_api_key(text, "slow", default_scopes(), rate="1/minute"))
    before = limited()
    with LocalClient(create_app(services.settings, services)) as client:
        client.headers["Authorization"] = f"Bearer {text}"
        for _ in range(2):
            last = client.post("/synthesize", data={"text": "a red bird"})
    assert last.status_code == 429
    assert limited() == before + 1


def test_the_job_knows_the_request_that_submitted_it(
    client: TestClient, services: Services
) -> None:
    answer = client.post(
        "/synthesize", data={"text": "a red bird"}, headers={"X-Request-ID": "order-7"}
    )
    job = services.store.get(answer.json()["id"])
    assert job is not None
    assert job.request_id == "order-7"


def test_lines_name_request_job_and_key(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    text, keys = generate_key(), services.authenticator.keys
    key = new_api_key(text, "logged", default_scopes())
    keys.add(key)
    app, lines = create_app(services.settings, services), []
    caplog.handler.setFormatter(JsonFormatter({}))

    @app.get("/told")
    async def told(_caller: AnyCaller) -> None:
        logging.getLogger("told").warning("something")
        lines.append(json.loads(caplog.text.splitlines()[-1]))

    with LocalClient(app) as client:
        headers = {"Authorization": f"Bearer {text}", "X-Request-ID": "order-8"}
        assert client.get("/told", headers=headers).status_code == 200
    assert lines[0]["request"] == "order-8"
    assert lines[0]["key"] == key.id
    assert text not in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_the_access_log_is_a_setting(services: Services, wanted: bool) -> None:
    settings = services.settings.model_copy(update={"access_log": wanted})
    server = gateway_server(settings, "127.0.0.1", 1, 1.0, services)
    assert server.config.access_log is wanted
