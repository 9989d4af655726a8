"""Malformed uploads, one by one: each is refused with its status and a sentence that says what to
do, or used as its sender meant it. None is a fault of the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.job import Status
from tests.app.conftest import stored_photo
from tests.app.gateway.malformed import UPLOADS
from tests.app.gateway.malformed.photos import BOMBS, ODD_BUT_SOUND
from tests.app.gateway.malformed.requests import Upload
from tests.conftest import write_paper_bundle
from tests.services import LocalClient, connected


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Services:
    weights: Path = tmp_path_factory.mktemp("weights")
    write_paper_bundle(weights / "paper")
    return connected(GatewaySettings(weights_dir=weights), valkey)


@pytest.fixture(scope="module")
def http(services: Services) -> Iterator[TestClient]:
    with LocalClient(
        create_app(services.settings, services), raise_server_exceptions=False
    ) as made:
        yield made


def test_there_are_many() -> None:
    refused = [upload for upload in UPLOADS if upload.status >= 400]
    assert len(refused) >= 80
    assert len({upload.name for upload in UPLOADS}) == len(UPLOADS)


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload.name)
def test_upload(http: TestClient, services: Services, upload: Upload) -> None:
    before = services.store.load().unfinished
    response = http.post(upload.path, **upload.request)
    assert response.status_code == upload.status, response.text
    accepted = services.store.load().unfinished - before
    if upload.status == 202:
        assert accepted == 1
        return
    assert accepted == 0
    assert response.headers["content-type"] == "application/problem+json"
    result = response.json()
    assert upload.words in result["detail"], result["detail"]
    assert_readable(result["detail"])


def assert_readable(sentence: str) -> None:
    assert sentence.endswith(".")
    assert len(sentence) < 500
    for inside in ("Traceback", "object at 0x", "PIL.", "pydantic", "Errno", ".py"):
        assert inside not in sentence


@pytest.mark.parametrize("upload", ODD_BUT_SOUND, ids=lambda upload: upload.name)
def test_only_pixels_are_stored(http: TestClient, services: Services, upload: Upload) -> None:
    """Nothing else of the file is kept: no comment, no profile, nothing behind the picture."""
    job_id = http.post(upload.path, **upload.request).json()["id"]
    job = services.store.get(job_id)
    assert job is not None
    stored = services.blobs.get(job.inputs["image"])
    for hidden in (b"php", b"script", b"cron", b"iCCP", b"eXIf", b"tEXt"):
        assert hidden not in stored
    image = stored_photo(services, job_id)
    assert image.mode == "RGB"
    assert image.size == (40, 30)


def test_colours_of_odd_files(http: TestClient, services: Services) -> None:
    def stored(name: str) -> np.ndarray:
        upload = next(u for u in ODD_BUT_SOUND if u.name == name)
        job = http.post(upload.path, **upload.request).json()["id"]
        return np.asarray(stored_photo(services, job))

    assert abs(int(stored("grey of 16 bits")[0, 0, 0]) - 40_000 // 257) <= 1
    turned = stored("upside down by exif").astype(int)
    assert np.abs(turned - stored("progressive jpeg")[::-1, ::-1]).mean() < 30


def test_nothing_waits_behind_a_bomb(http: TestClient, services: Services) -> None:
    for upload in BOMBS:
        http.post(upload.path, **upload.request)
    assert http.post("/synthesize", json={"text": "a bird"}).status_code == 202
    jobs, _ = services.store.list_jobs(Status.queued, 1, None)
    assert jobs
