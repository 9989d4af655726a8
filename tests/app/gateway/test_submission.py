"""What becomes of uploads: nothing is kept of a refused one, and a waiting one holds no memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from obstore.store import MemoryStore
from pydantic import ByteSize

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.server import create_app
from app.gateway.services import Services
from jobs.blobs import BlobStore
from jobs.images import encode
from tests.app.conftest import mask_png, png
from tests.services import LocalClient

NOISE = np.random.default_rng(0)


def photo(side: int = 300) -> bytes:
    """Some bytes per pixel."""
    from PIL import Image

    return encode(Image.fromarray(NOISE.integers(0, 256, (side, side, 3), np.uint8)))


@pytest.fixture
def on_disk(services: Services, tmp_path: Path) -> Path:
    """Where the service's uploads lie."""
    services.blobs = BlobStore.from_url((tmp_path / "blobs").as_uri())
    return tmp_path / "blobs"


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def inpaint(client: TestClient, mask: bytes, **more: Any) -> Any:
    files = {"image": png(40, 30), "mask": mask}
    return client.post("/inpaint", data={"text": "a bird", **more}, files=files)


def log_in(services: Services, client: TestClient, **limits: Any) -> str:
    """The owner of the key that the client has from now on."""
    text = generate_key()
    key = new_api_key(text, "one", default_scopes(), **limits)
    services.authenticator.keys.add(key)
    client.headers["Authorization"] = f"Bearer {text}"
    return key.owner


def test_a_wrong_mask_leaves_no_photo_behind(client: TestClient, on_disk: Path) -> None:
    assert inpaint(client, mask_png(20, 20)).status_code == 422
    assert files_under(on_disk) == []
    assert inpaint(client, mask_png()).status_code == 202
    assert len(files_under(on_disk)) == 2


def test_a_key_over_its_pictures_leaves_no_upload_behind(
    services: Services, client: TestClient, on_disk: Path
) -> None:
    log_in(services, client, pictures_per_day=1)
    assert inpaint(client, mask_png(), count="2").status_code == 429
    assert files_under(on_disk) == []


def test_a_full_queue_leaves_no_upload_behind(
    services: Services, client: TestClient, on_disk: Path
) -> None:
    services.settings = services.settings.model_copy(update={"max_queue": 1})
    assert client.post("/synthesize", json={"text": "a bird"}).status_code == 202
    assert inpaint(client, mask_png()).status_code == 503
    assert files_under(on_disk) == []


class Meeting(BlobStore):
    """Every write waits for another one."""

    both = threading.Barrier(2, timeout=5)

    def put(self, key: str, data: bytes) -> None:
        self.both.wait()
        super().put(key, data)


def test_a_slow_storage_does_not_hold_up_the_decoding_of_others(services: Services) -> None:
    settings = services.settings.model_copy(update={"decoders": 1})
    services = Services(settings)
    services.blobs = Meeting(MemoryStore())
    with LocalClient(create_app(settings, services)) as client, ThreadPoolExecutor(2) as threads:

        def edit(_number: int) -> int:
            form = {"data": {"text": "a bird"}, "files": {"image": png()}}
            return client.post("/manipulate", **form).status_code  # type: ignore[arg-type]

        assert list(threads.map(edit, range(2))) == [202, 202]


@pytest.fixture
def small(services: Services) -> Iterator[TestClient]:
    """A service with memory for one large upload at a time."""
    settings = services.settings.model_copy(update={"upload_memory": 2_200_000})
    with LocalClient(create_app(settings, services)) as made:
        yield made


@pytest.mark.parametrize("form", [True, False])
def test_a_request_that_waits_holds_no_upload(small: TestClient, form: bool) -> None:
    import base64

    data = photo(700)  # 1.47 MB
    with ThreadPoolExecutor(1) as thread:
        if form:
            sent = {"data": {"text": "a bird"}, "files": {"image": data}}
        else:
            sent = {"json": {"text": "a bird", "image": base64.b64encode(data[:]).decode()}}
        waiting = thread.submit(small.post, "/manipulate?wait=3", **sent)  # type: ignore[arg-type]
        while not small.get("/jobs").json()["jobs"]:
            assert not waiting.done()
        answer = small.post("/manipulate", data={"text": "a bird"}, files={"image": data})
        assert not waiting.done()
        assert answer.status_code == 202, answer.text
        assert waiting.result().status_code == 202


def test_a_wait_is_confirmed_only_when_it_took_place(
    services: Services, client: TestClient
) -> None:
    request = {"json": {"text": "a bird"}, "headers": {"Prefer": "wait=0.1"}}
    assert client.post("/synthesize", **request).headers["preference-applied"] == "wait=0.1"  # type: ignore[arg-type]
    services.wait_slots.limit = 0
    assert "preference-applied" not in client.post("/synthesize", **request).headers  # type: ignore[arg-type]


def test_parallel_uploads_are_counted_one_by_one(
    services: Services, client: TestClient, on_disk: Path
) -> None:
    """All are let in to be decoded; one becomes a job."""
    owner = log_in(services, client, max_active=1)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(inpaint, client, mask_png()) for _ in range(8)]
    statuses = sorted(call.result().status_code for call in calls)
    assert statuses == [202, *[429] * 7]
    assert services.store.usage(owner).unfinished == 1
    assert len(files_under(on_disk)) == 2


def test_a_key_stores_so_many_bytes(services: Services, client: TestClient, on_disk: Path) -> None:
    owner = log_in(services, client)
    one, picture = photo(), {"data": {"text": "a red bird"}}
    services.settings.max_stored = ByteSize(3 * len(one))
    first = client.post("/manipulate", **picture, files={"image": one})
    assert first.status_code == 202
    assert services.store.usage(owner).stored == pytest.approx(2 * len(one), rel=0.1)
    refused = client.post("/manipulate", **picture, files={"image": one})
    assert refused.status_code == 429
    assert "DELETE /jobs/ID" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(files_under(on_disk)) == 1
    client.delete(first.headers["location"])
    assert client.post("/manipulate", **picture, files={"image": one}).status_code == 202


def test_uploads_end_where_the_disk_does(
    services: Services, client: TestClient, on_disk: Path
) -> None:
    services.settings.min_free_disk = ByteSize(2**60)
    refused = inpaint(client, mask_png())
    assert refused.status_code == 503
    assert "disk" in refused.json()["detail"]
    assert files_under(on_disk) == []
    assert client.post("/synthesize", json={"text": "a red bird"}).status_code == 202
