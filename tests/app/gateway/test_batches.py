"""Many jobs under one id: created, filled, followed, fetched as one file, erased."""

from __future__ import annotations

import gc
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from httpx_sse import EventSource, ServerSentEvent

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.blobs import BlobStore, job_folder
from jobs.job import ImageRecord, Status
from jobs.store import JobOutcome
from tests.app.conftest import succeed
from tests.app.gateway.test_access import bearer, http, key_of, keyed, mine, problem
from tests.app.gateway.test_downloads import large
from tests.moves import begun, finished
from tests.services import LocalClient, connected, listening

__all__ = ["http", "keyed", "mine"]  # fixtures


def created(client: httpx.Client, **body: Any) -> str:
    response = client.post("/batches", json=body)
    assert response.status_code == 201, response.text
    batch = str(response.json()["id"])
    assert response.headers["location"] == f"/batches/{batch}"
    return batch


def joined(client: httpx.Client, batch: str, **fields: Any) -> str:
    response = client.post("/synthesize", json={"text": "a bird", "batch": batch, **fields})
    assert response.status_code == 202, response.text
    assert response.json()["batch"] == batch
    return str(response.json()["id"])


def ended(client: httpx.Client, services: Services, jobs: int = 2, pictures: int = 1) -> str:
    batch = created(client)
    for _ in range(jobs):
        succeed(services, joined(client, batch), pictures)
    assert client.post(f"/batches/{batch}/close").json()["status"] == "ended"
    return batch


def archive(client: httpx.Client, batch: str) -> tuple[zipfile.ZipFile, list[dict[str, Any]]]:
    response = client.get(f"/batches/{batch}/images.zip")
    assert response.status_code == 200, response.text
    opened = zipfile.ZipFile(io.BytesIO(response.content))
    assert opened.testzip() is None
    return opened, json.loads(opened.read("manifest.json"))


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


def test_its_events_tell_each_job_that_ends(client: TestClient, services: Services) -> None:
    batch = created(client)
    first, second = joined(client, batch), joined(client, batch)
    succeed(services, first)

    def later() -> None:
        time.sleep(0.5)
        succeed(services, second)
        services.store.batches.close(batch)

    ending = threading.Thread(target=later)
    ending.start()
    events = follow(client, batch)
    ending.join()
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
    client: TestClient, services: Services
) -> None:
    batch = created(client)
    joined(client, batch)
    threading.Timer(0.5, services.store.batches.erase, (batch,)).start()
    last = follow(client, batch)[-1]
    assert (last.event, json.loads(last.data)) == ("final", {"id": batch, "status": "expired"})


def test_all_images_as_one_file(client: TestClient, services: Services) -> None:
    batch = created(client)
    first, broken, second = (joined(client, batch) for _ in range(3))
    succeed(services, second, pictures=2)  # the order of the end does not matter
    succeed(services, first)
    succeed(services, broken, pictures=2, failed=True)
    client.post(f"/batches/{batch}/close")
    response = client.get(f"/batches/{batch}/images.zip")
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == f'attachment; filename="{batch}.zip"'
    assert response.content == client.get(f"/batches/{batch}/images.zip").content
    opened, manifest = archive(client, batch)
    assert opened.namelist() == [
        *("0001-0.png", "0002-0.png", "0003-0.png", "0003-1.png", "manifest.json")
    ]
    assert [job["id"] for job in manifest] == [first, broken, second]
    for job in manifest:
        assert job["receipt"] == client.get(f"/jobs/{job['id']}").json()["receipt"]
        for image in job["images"]:
            if image["url"]:
                assert opened.read(image["file"]) == client.get(image["url"]).content
    assert "file" not in manifest[1]["images"][1]


def test_erased_jobs_leave_their_number_free(client: TestClient, services: Services) -> None:
    batch = created(client)
    first, second, third = (joined(client, batch) for _ in range(3))
    for job in (first, second, third):
        succeed(services, job)
    client.post(f"/batches/{batch}/close")
    client.delete(f"/jobs/{second}")
    opened, manifest = archive(client, batch)
    assert opened.namelist() == ["0001-0.png", "0003-0.png", "manifest.json"]
    assert manifest[1] == {"id": second, "status": "expired"}


def test_a_job_that_is_being_erased_is_left_out(client: TestClient, services: Services) -> None:
    batch = ended(client, services)
    first = archive(client, batch)[1][0]["id"]
    services.store.cancel(first, erase=True)
    services.blobs.delete_prefix(job_folder(first))
    opened, manifest = archive(client, batch)
    assert opened.namelist() == ["0002-0.png", "manifest.json"]
    assert manifest[0] == {"id": first, "status": "expired"}


@pytest.fixture
def on_disk(services: Services, tmp_path: Path) -> Iterator[tuple[httpx.Client, Services]]:
    services.blobs = BlobStore.from_url(f"file://{tmp_path}/blobs")
    with (
        listening(services) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client, services


def test_a_file_that_storage_lost_is_no_whole_archive(
    on_disk: tuple[httpx.Client, Services],
) -> None:
    client, services = on_disk
    batch = ended(client, services)
    last = archive(client, batch)[1][1]["id"]
    services.blobs.delete_prefix(job_folder(last))  # and nobody had it erased
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"/batches/{batch}/images.zip")
    assert services.downloads.in_use == 0


def test_large_files_are_sent_as_they_are_read(on_disk: tuple[httpx.Client, Services]) -> None:
    client, services = on_disk
    batch = created(client)
    for _ in range(3):
        large(services, joined(client, batch), count=2)
    client.post(f"/batches/{batch}/close")
    with client.stream("GET", f"/batches/{batch}/images.zip") as response:
        parts = list(response.iter_raw())
    opened = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    assert opened.testzip() is None
    assert len(opened.namelist()) == 7
    assert max(map(len, parts)) < 2**20 < sum(map(len, parts)) / 20


def test_a_reader_that_goes_away_gives_its_place_back(
    on_disk: tuple[httpx.Client, Services],
    caplog: pytest.LogCaptureFixture,
    eventually: Callable[[Callable[[], bool], float], None],
) -> None:
    client, services = on_disk
    batch = created(client)
    large(services, joined(client, batch), count=4)
    client.post(f"/batches/{batch}/close")
    for _ in range(5):
        with client.stream("GET", f"/batches/{batch}/images.zip") as response:
            next(response.iter_raw())
    eventually(lambda: services.downloads.in_use == 0, 10)
    gc.collect()
    client.get("/healthz")
    assert caplog.records == []


def test_the_file_is_counted_as_a_large_answer(client: TestClient, services: Services) -> None:
    batch = ended(client, services)
    with ExitStack() as held:
        for n in range(services.settings.max_downloads):
            held.enter_context(services.downloads.hold(f"link {batch}", "{limit}", 1))
            response = client.get(f"/batches/{batch}/images.zip")
            refused = n + 1 >= services.settings.max_downloads / 4
            assert response.status_code == (429 if refused else 200)
    assert client.get(f"/batches/{batch}/images.zip").status_code == 200
    assert services.downloads.in_use == 0


def test_no_file_before_the_end(client: TestClient, services: Services) -> None:
    batch = created(client)
    joined(client, batch)
    response = client.get(f"/batches/{batch}/images.zip")
    assert "is open, and 1 of its jobs have not ended" in problem(response, 409)["detail"]
    assert response.headers["retry-after"] == "1"


def test_an_empty_batch_has_an_empty_file(client: TestClient) -> None:
    batch = created(client)
    client.post(f"/batches/{batch}/close")
    assert archive(client, batch)[1] == []


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


def test_a_batch_of_a_form_and_of_every_task(client: TestClient) -> None:
    batch = created(client)
    response = client.post("/synthesize", data={"text": "a bird", "batch": batch})
    assert response.json()["batch"] == batch
    assert "batch" not in response.json()["input"]
    assert client.post("/synthesize", data={"text": "a bird", "batch": ""}).status_code == 202


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
    client: TestClient, services: Services, settings: GatewaySettings
) -> None:
    with LocalClient(create_app(settings, Services(settings))) as other:
        batch = created(client)
        jobs = [joined(client, batch), joined(other, batch)]
        threading.Timer(0.3, lambda: [finished(services.store, job) for job in jobs]).start()
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


def test_names_in_the_file_come_from_nobody(client: TestClient, services: Services) -> None:
    batch = created(client)
    job = joined(client, batch, text="../../etc/passwd bird")
    key = f"jobs/{job}/t-0.png"
    services.blobs.put(key, b"image")
    record = ImageRecord(index=0, seed=1, width=1, height=1, sha256="1" * 64, blob=key)
    finished(services.store, job, JobOutcome([record]))
    client.post(f"/batches/{batch}/close")
    opened, manifest = archive(client, batch)
    assert opened.namelist() == ["0001-0.png", "manifest.json"]
    assert manifest[0]["input"]["text"] == "../../etc/passwd bird"
    assert Status(manifest[0]["status"]) is Status.succeeded
    assert opened.infolist()[0].external_attr >> 16 == 0o644
