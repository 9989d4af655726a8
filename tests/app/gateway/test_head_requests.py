"""HEAD wherever GET is."""

from __future__ import annotations

from fastapi.testclient import TestClient

from app.gateway.services import Services
from tests.app.conftest import succeed


def test_head_is_get_without_its_body(client: TestClient, services: Services) -> None:
    job = client.post("/synthesize", json={"text": "a bird"}).json()["id"]
    services.store.heartbeat("worker", {"device": "cpu"}, 60)
    succeed(services, job)
    paths = ("/healthz", "/readyz", "/models", "/docs", "/openapi.json", "/v1/models", "/jobs")
    for path in (*paths, f"/jobs/{job}", f"/jobs/{job}/images/0", "/", "/nowhere"):
        head, get = client.head(path), client.get(path)
        assert head.content == b"", path
        assert head.status_code == get.status_code, path
        for name in ("content-type", "content-length"):
            assert head.headers.get(name) == get.headers.get(name), path


def test_a_stream_ends_with_its_headers(client: TestClient, services: Services) -> None:
    job = client.post("/synthesize", json={"text": "a bird"}).json()["id"]
    for _ in range(services.settings.max_streams + 1):  # each gives its place back
        head = client.head(f"/jobs/{job}/events")
        assert head.status_code == 200
        assert head.headers["content-type"].startswith("text/event-stream")


def test_where_only_post_is_allowed(client: TestClient) -> None:
    assert client.head("/synthesize").status_code == 405
    assert client.put("/healthz").headers["allow"] == "GET, HEAD"


def test_all_methods_of_an_address_are_named(client: TestClient) -> None:
    allowed = {
        f"/jobs/{'0' * 32}": "DELETE, GET, HEAD",
        "/batches/batch_1": "DELETE, GET, HEAD",
        "/session": "DELETE, GET, HEAD, POST",
        "/synthesize": "POST",
        "/v1/images/generations": "POST",
        f"/jobs/{'0' * 32}/cancel": "POST",
    }
    for path, methods in allowed.items():
        answer = client.request("OPTIONS", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods), path
