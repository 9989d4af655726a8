"""``/admin``, for administrators only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.gateway.api_keys import ApiKey, default_scopes, generate_key, new_api_key
from app.gateway.server import create_app
from app.gateway.services import Services
from tests.moves import begun, queued


def add_key(services: Services, scopes: set[str]) -> tuple[str, ApiKey]:
    text = generate_key()
    key = new_api_key(text, "one", frozenset(scopes))
    services.authenticator.keys.add(key)
    return text, key


@pytest.fixture
def operator(services: Services) -> Iterator[TestClient]:
    text, _ = add_key(services, {"admin"})
    with TestClient(create_app(services.settings, services)) as made:
        made.headers["Authorization"] = f"Bearer {text}"
        yield made


ROUTES = (
    ("GET", "/admin/workers"),
    ("GET", "/admin/queue"),
    ("GET", "/admin/usage"),
    ("POST", "/admin/workers/w/drain"),
    ("POST", "/admin/workers/w/resume"),
    ("POST", "/admin/jobs/x/requeue"),
    ("POST", "/admin/purge"),
    ("POST", "/admin/reload"),
    ("GET", "/admin/audit"),
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_else_gets_in(services: Services, method: str, path: str) -> None:
    with TestClient(create_app(services.settings, services)) as client:
        assert client.request(method, path, json={}).status_code == 403  # open service
    text, _ = add_key(services, set(default_scopes()))
    with TestClient(create_app(services.settings, Services(services.settings))) as client:
        assert client.request(method, path, json={}).status_code == 401
        answer = client.request(method, path, json={}, headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 403
        assert answer.json()["scope"] == "admin"


def test_workers_are_listed_and_drained(operator: TestClient, services: Services) -> None:
    assert operator.post("/admin/workers/gpu1/drain").status_code == 404
    said = {"device": "cpu", "loaded": [["a", "inpaint", "csa", "0f"]], "running": 2}
    services.store.heartbeat("gpu1", said | {"field_of_a_later_version": 1}, 10)
    assert operator.get("/admin/workers").json() == [said | {"name": "gpu1"}]
    assert operator.post("/admin/workers/gpu1/drain").json()["drained"] is True
    assert services.store.heartbeat("gpu1", {}, 10) is True
    assert operator.post("/admin/workers/gpu1/resume").json()["drained"] is False
    assert services.store.heartbeat("gpu1", {}, 10) is False


def test_the_queue_is_shown_and_purged(operator: TestClient, services: Services) -> None:
    mine, _ = queued(services.store, owner="k1"), queued(services.store, owner="k2")
    found = operator.get("/admin/queue").json()
    assert found["waiting"]["normal"]["jobs"] == found["all_waiting"]["jobs"] == 2
    assert operator.post("/admin/purge", json={"owner": "k1"}).json() == {"canceled": 1}
    ended = services.store.get(mine.id)
    assert ended is not None
    assert ended.status == "canceled"


def test_a_misspelt_field_purges_nothing(operator: TestClient, services: Services) -> None:
    job = queued(services.store, owner="k2")
    answer = operator.post("/admin/purge", json={"onwer": "k1"})
    assert answer.status_code == 422
    assert "onwer is not a field" in answer.json()["detail"]
    assert services.store.waiting() == [job.id]


def test_a_job_is_taken_from_its_worker(operator: TestClient, services: Services) -> None:
    job = queued(services.store)
    assert operator.post(f"/admin/jobs/{job.id}/requeue").status_code == 409
    begun(services.store, job.id)
    assert operator.post(f"/admin/jobs/{job.id}/requeue").json() == {"job": job.id}
    assert services.store.waiting() == [job.id]


def test_usage_by_owner(operator: TestClient, services: Services) -> None:
    _, key = add_key(services, set(default_scopes()))
    queued(services.store, owner=key.owner)
    busiest, idle = operator.get("/admin/usage").json()
    assert busiest == {"owner": key.owner, "jobs": 1, "unfinished": 1}
    assert idle["jobs"] == 0
    assert operator.get("/admin/usage?hours=0").status_code == 422


def test_what_operators_did_is_listed(operator: TestClient, services: Services) -> None:
    (key,) = services.authenticator.keys.all()
    services.store.heartbeat("gpu1", {}, 10)
    operator.post("/admin/workers/gpu1/drain")
    operator.post("/admin/workers/nobody/drain")
    assert operator.post("/admin/reload").json() == {"workers": ["gpu1"]}
    assert services.store.take_reload("gpu1")
    operator.post("/admin/purge", json={"task": "inpaint"})
    job = queued(services.store)
    begun(services.store, job.id)
    operator.post(f"/admin/jobs/{job.id}/requeue")
    found = operator.get("/admin/audit").json()
    assert [(one["action"], one["target"]) for one in found] == [
        ("requeue", job.id),
        ("purge", "0 jobs of all owners, inpaint"),
        ("reload", "gpu1"),
        ("drain", "gpu1"),
    ]
    assert {one["by"] for one in found} == {key.id}
    assert operator.get("/admin/audit?limit=1").json() == found[:1]
