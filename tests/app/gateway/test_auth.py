"""Who gets in, with which scopes."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.gateway.api_keys import ADMIN, READ, generate_key, revoke
from app.gateway.server import create_app
from app.gateway.services import Services
from tests.app.conftest import mask_png, png, succeed
from tests.app.gateway.conftest import bearer, key_of, problem, submit
from tests.app.gateway.openapi_file import operations
from tests.services import LocalClient, listening

CLOSED = [re.sub(r"{\w+}", "x", name) for name, found in operations() if found.get("security")]


@pytest.mark.parametrize("operation", [*CLOSED, "get /models/paper/picture"])
def test_nothing_without_a_key(http: TestClient, mine: str, operation: str) -> None:
    method, path = operation.split()
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
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
    named = http.request(method, f"{path}?api_key={mine}&key={mine}")
    assert named.status_code == 401
    if not path.startswith("/v1/"):  # which has errors of its own
        problem(named, 401)


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


def test_workers_names_are_not_for_strangers(http: TestClient, keyed: Services) -> None:
    keyed.store.heartbeat("host-17", {"device": "cpu"}, 10)
    response = http.get("/readyz")
    assert response.json() == {"status": "ready", "workers": 1}
    for scope, sees in ((READ, False), (ADMIN, True)):
        seen = http.get("/readyz", headers=bearer(key_of(keyed, scope, {scope}))).json()
        assert ("tasks" in seen) is sees
        assert ("host-17" in str(seen)) is sees
    assert http.get("/readyz", headers=bearer("mmml_wrong")).json()["workers"] == 1


def test_wrong_keys_are_counted_by_address(http: TestClient, keyed: Services, mine: str) -> None:
    keyed.settings.rate_wrong_keys = "3/minute"
    answers = [http.get("/jobs", headers=bearer(generate_key())) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[4].headers["retry-after"]
    assert http.get("/jobs", headers=bearer(mine)).status_code == 200


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
