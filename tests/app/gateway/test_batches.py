"""Many jobs under one id: created, filled, followed, erased."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx_sse import EventSource, ServerSentEvent

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from tests.app.conftest import mask_png, png, succeed
from tests.app.gateway.batch_requests import created, joined
from tests.app.gateway.conftest import bearer, key_of, problem
from tests.moves import begun, finished
from tests.services import LocalClient, connected

Later = Callable[..., threading.Timer]


def follow(client: TestClient, batch: str, after: str = "") -> list[ServerSentEvent]:
    headers = {"Last-Event-ID": after} if after else {}
    response = client.get(f"/batches/{batch}/events", headers=headers)
    assert response.status_code == 200
    return [e for e in EventSource(response).iter_sse() if e.data]  # type: ignore[arg-type]


def test_a_life(client: TestClient, services: Services) -> None:
    batch = created(client)
    first, second = joined(client, batch), joined(client, batch)
    succeed(services, first)
    view = client.get(f"/batches/{batch}").json()
    assert view["status"] == "open"
    assert view["created_at"].endswith("Z")
    assert (view["total"], view["unfinished"], view["succeeded"]) == (2, 1, 1)
    assert "owner" not in view
    assert client.post(f"/batches/{batch}/close").json()["status"] == "closed"
    assert client.post(f"/jobs/{second}/cancel").status_code == 200
    view = client.get(f"/batches/{batch}").json()
    assert (view["status"], view["canceled"], view["unfinished"]) == ("ended", 1, 0)
    listed = client.get(f"/jobs?batch={batch}&limit=1").json()
    assert [job["id"] for job in listed["jobs"]] == [second]
    (rest,) = client.get(listed["next"]).json()["jobs"]
    assert (rest["id"], rest["batch"]) == (first, batch)
    assert client.get(f"/jobs?batch={batch}&status=succeeded").json()["jobs"] == [rest]


def test_its_events_tell_each_job_that_ends(
    client: TestClient, services: Services, later: Later
) -> None:
    batch = created(client)
    first, second = joined(client, batch), joined(client, batch)
    succeed(services, first)

    def end() -> None:
        succeed(services, second)
        services.store.batches.close(batch)

    later(0.5, end)
    events = follow(client, batch)
    assert [(e.event, json.loads(e.data)) for e in events[:-1]] == [
        ("status", {"status": "open"}),
        ("job", {"id": first, "status": "succeeded"}),
        ("job", {"id": second, "status": "succeeded"}),
        ("status", {"status": "closed"}),
    ]
    assert events[-1].event == "final"
    assert json.loads(events[-1].data) == client.get(f"/batches/{batch}").json()
    assert [e.id for e in follow(client, batch, events[1].id)] == [e.id for e in events[2:]]
    done = client.get(f"/batches/{batch}/events", headers={"Last-Event-ID": events[-1].id})
    assert done.status_code == 204


def test_a_long_batch_is_told_whole(client: TestClient, services: Services) -> None:
    batch = created(client)
    jobs = [joined(client, batch) for _ in range(150)]
    for job in jobs:
        services.store.cancel(job)
    services.store.batches.close(batch)
    events = follow(client, batch)
    assert [json.loads(e.data)["id"] for e in events if e.event == "job"] == jobs


def test_a_batch_erased_while_followed_ends_the_stream(
    client: TestClient, services: Services, later: Later
) -> None:
    batch = created(client)
    joined(client, batch)
    later(0.5, services.store.batches.erase, batch)
    last = follow(client, batch)[-1]
    assert (last.event, json.loads(last.data)) == ("final", {"id": batch, "status": "expired"})


def test_a_closed_batch_takes_no_job(client: TestClient, services: Services) -> None:
    batch = created(client)
    client.post(f"/batches/{batch}/close")
    body = {"text": "a bird", "batch": batch}
    assert "Create another batch" in problem(client.post("/synthesize", json=body), 409)["detail"]
    assert client.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize("batch", ["batch_" + "0" * 32, "nonsense", "../jobs", "%00", "\0", "é"])
def test_unknown_batches(client: TestClient, batch: str) -> None:
    refused = client.post("/synthesize", json={"text": "a bird", "batch": batch})
    assert "POST /batches" in problem(refused, 422)["detail"]
    if batch.isprintable() and "/" not in batch:
        for method, path in [
            ("GET", ""),
            ("GET", "/events"),
            ("GET", "/images.zip"),
            ("POST", "/close"),
            ("DELETE", ""),
        ]:
            problem(client.request(method, f"/batches/{batch}{path}"), 404)
        problem(client.get(f"/jobs?batch={batch}"), 404)


def test_a_job_is_no_batch_and_a_batch_no_job(client: TestClient) -> None:
    batch = created(client)
    job = joined(client, batch)
    before = client.get(f"/jobs/{job}").json()
    problem(client.post("/synthesize", json={"text": "a bird", "batch": job}), 422)
    problem(client.get(f"/batches/{job}"), 404)
    problem(client.get(f"/jobs/{batch}"), 404)
    problem(client.post(f"/jobs/{batch}/cancel"), 404)
    problem(client.delete(f"/jobs/{batch}"), 404)
    problem(client.get(f"/jobs/{batch}/images/0"), 404)
    assert client.get(f"/jobs/{job}").json() == before


@pytest.fixture
def small(services: Services) -> Iterator[TestClient]:
    limits = {"max_batches": 2, "max_batch_jobs": 2}
    settings = services.settings.model_copy(update=limits)
    with LocalClient(create_app(settings, Services(settings))) as made:
        yield made


def test_batches_and_their_jobs_are_bounded(small: TestClient) -> None:
    batch = created(small)
    joined(small, batch)
    joined(small, batch)
    body = {"text": "a bird", "batch": batch}
    assert "its 2 jobs" in problem(small.post("/synthesize", json=body), 409)["detail"]
    created(small)
    response = small.post("/batches")
    assert "2 batches" in problem(response, 429)["detail"]
    assert int(response.headers["retry-after"]) > 0
    small.delete(f"/batches/{batch}")
    created(small)


def test_one_request_sent_twice_joins_once(client: TestClient) -> None:
    batch, other = created(client), created(client)
    key = {"Idempotency-Key": "one"}
    body = {"text": "a bird", "batch": batch}
    first = client.post("/synthesize", json=body, headers=key)
    client.post(f"/batches/{batch}/close")
    again = client.post("/synthesize", json=body, headers=key)  # although it is closed by now
    assert again.json()["id"] == first.json()["id"]
    assert client.get(f"/batches/{batch}").json()["total"] == 1
    problem(client.post("/synthesize", json={**body, "batch": other}, headers=key), 422)


def test_its_webhook_is_checked_as_a_jobs_is(client: TestClient) -> None:
    batch = created(client, webhook="https://example.com/hook")
    webhook = client.get(f"/batches/{batch}").json()["webhook"]
    assert (webhook["url"], webhook["state"]) == ("https://example.com/hook", "waiting")
    for bad in ({"webhook": "http://example.com"}, {"webhook": "https://127.0.0.1/"}, {"name": 1}):
        problem(client.post("/batches", json=bad), 422)
    problem(client.post("/batches", content=b"nonsense"), 415)


def test_deleting_erases_every_job(client: TestClient, services: Services) -> None:
    batch = created(client)
    done, running, waiting = (joined(client, batch) for _ in range(3))
    succeed(services, done)
    begun(services.store, running)
    assert client.delete(f"/batches/{batch}").status_code == 202
    problem(client.get(f"/batches/{batch}"), 404)
    assert client.get(f"/jobs/{waiting}").json()["status"] == "canceled"
    assert client.get(f"/jobs/{running}").json()["cancel_requested"]
    assert set(services.store.claim_results(3600, 10, 60)) == {done, waiting}


@pytest.mark.parametrize("task", ["synthesize", "manipulate", "inpaint"])
def test_forms_of_every_task_name_a_batch(client: TestClient, task: str) -> None:
    needed = {"manipulate": {"image": png()}, "inpaint": {"image": png(), "mask": mask_png()}}
    for batch in (created(client), ""):  # or none
        form = {"text": "a bird", "batch": batch}
        response = client.post(f"/{task}", data=form, files=needed.get(task))
        assert response.status_code == 202
        assert response.json().get("batch") == (batch or None)
        assert "batch" not in response.json()["input"]


def test_another_keys_batch_is_as_good_as_none(
    http: TestClient, keyed: Services, mine: str
) -> None:
    batch = http.post("/batches", headers=bearer(mine)).json()["id"]
    yours = key_of(keyed, "yours")
    body = {"text": "a bird", "batch": batch}
    problem(http.post("/synthesize", json=body, headers=bearer(yours)), 422)
    for method, path in [
        *(("GET", f"/batches/{batch}{p}") for p in ("", "/events", "/images.zip")),
        *(("POST", f"/batches/{batch}/close"), ("DELETE", f"/batches/{batch}")),
        *(("GET", f"/jobs?batch={batch}"), ("GET", f"/jobs/{batch}/events")),
    ]:
        problem(http.request(method, path, headers=bearer(yours)), 404)
        problem(http.request(method, path), 401)
    assert http.get(f"/batches/{batch}", headers=bearer(mine)).json()["total"] == 0
    problem(http.post("/batches"), 401)


def test_what_a_key_may_do_to_batches(http: TestClient, keyed: Services, mine: str) -> None:
    batch = http.post("/batches", headers=bearer(mine)).json()["id"]
    http.post("/synthesize", json={"text": "a bird", "batch": batch}, headers=bearer(mine))
    admin = key_of(keyed, "admin", {"admin"})
    assert http.get(f"/batches/{batch}", headers=bearer(admin)).status_code == 200
    assert len(http.get(f"/jobs?batch={batch}", headers=bearer(admin)).json()["jobs"]) == 1
    problem(http.post("/batches", headers=bearer(key_of(keyed, "reader", {"read"}))), 403)
    problem(http.get(f"/batches/{batch}", headers=bearer(key_of(keyed, "w", {"inpaint"}))), 403)


def test_a_batch_does_not_get_around_a_keys_limits(
    http: TestClient, keyed: Services, mine: str
) -> None:
    key = key_of(keyed, "small", max_active=1)
    batch = http.post("/batches", headers=bearer(key)).json()["id"]
    body = {"text": "a bird", "batch": batch}
    assert http.post("/synthesize", json=body, headers=bearer(key)).status_code == 202
    problem(http.post("/synthesize", json=body, headers=bearer(key)), 429)
    assert http.get(f"/batches/{batch}", headers=bearer(key)).json()["total"] == 1


def test_a_gateway_beside_sees_the_same(
    client: TestClient, services: Services, settings: GatewaySettings, later: Later
) -> None:
    with LocalClient(create_app(settings, Services(settings))) as other:
        batch = created(client)
        jobs = [joined(client, batch), joined(other, batch)]
        later(0.3, lambda: [finished(services.store, job) for job in jobs])
        other.post(f"/batches/{batch}/close")
        ended = [json.loads(e.data)["id"] for e in follow(other, batch) if e.event == "job"]
        assert ended == jobs
        assert client.get(f"/batches/{batch}").json()["status"] == "ended"


def test_the_root_path_stands_before_its_addresses(weights: Path, valkey: str) -> None:
    settings = GatewaySettings(weights_dir=weights, root_path="/images")
    services = connected(settings, valkey)
    with LocalClient(create_app(services.settings, services)) as client:
        response = client.post("/images/batches")
        assert response.headers["location"] == f"/images/batches/{response.json()['id']}"
