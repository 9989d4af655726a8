"""All images of a batch as one file."""

from __future__ import annotations

import gc
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.gateway.services import Services
from jobs.blobs import BlobStore, job_folder
from jobs.job import ImageRecord, Status
from jobs.store import JobOutcome
from tests.app.conftest import succeed
from tests.app.gateway.batch_requests import created, joined
from tests.app.gateway.conftest import finish_with_large_images, problem
from tests.moves import finished
from tests.services import listening


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
        finish_with_large_images(services, joined(client, batch), count=2)
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
    finish_with_large_images(services, joined(client, batch), count=4)
    client.post(f"/batches/{batch}/close")
    for _ in range(5):
        with client.stream("GET", f"/batches/{batch}/images.zip") as response:
            next(response.iter_raw())
    eventually(lambda: services.downloads.in_use == 0, 10)
    gc.collect()
    client.get("/healthz")
    assert caplog.records == []
