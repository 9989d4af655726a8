"""Large pictures: sent as they are read, converted once, counted, and never in the others' way."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.gateway.services import Services
from jobs.blobs import BlobStore
from jobs.images import encode
from jobs.job import ImageRecord, Timings
from jobs.store import JobOutcome
from tests import moves
from tests.services import listening

SIZE = (1400, 1200)


def finished(services: Services, client: TestClient | httpx.Client) -> str:
    """The address of a picture of five megabytes."""
    job = client.post("/synthesize", json={"text": "a bird"}).json()["id"]
    noise = Image.frombytes("RGB", SIZE, os.urandom(SIZE[0] * SIZE[1] * 3))
    key = f"jobs/{job}/t-0.png"
    services.blobs.put(key, encode(noise))
    record = ImageRecord(index=0, seed=1, width=SIZE[0], height=SIZE[1], sha256="1" * 64, blob=key)
    moves.finished(services.store, job, JobOutcome([record], Timings(), warnings=()))
    return f"/jobs/{job}/images/0"


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, services: Services, tmp_path: Path) -> Services:
    if request.param == "file":
        services.blobs = BlobStore.from_url(f"file://{tmp_path}/blobs")
    return services


def test_a_large_picture_comes_whole(storage: Services, client: TestClient) -> None:
    path = finished(storage, client)
    answer = client.get(path)
    assert int(answer.headers["content-length"]) == len(answer.content) > 5_000_000
    assert Image.open(io.BytesIO(answer.content)).size == SIZE
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_conversion_is_kept_and_erased_with_its_job(
    storage: Services, client: TestClient
) -> None:
    path = finished(storage, client)
    first = client.get(path, headers={"Accept": "image/webp"})
    assert first.headers["content-type"] == "image/webp"
    key = f"jobs/{path.split('/')[2]}/t-0.png.webp"
    assert storage.blobs.get(key) == first.content
    storage.blobs.put(key, b"kept")
    assert client.get(path, headers={"Accept": "image/webp"}).content == b"kept"
    client.delete(path.rpartition("/images")[0])
    assert client.get(path, headers={"Accept": "image/webp"}).status_code == 410


def test_what_was_erased_is_gone(storage: Services, client: TestClient) -> None:
    path = finished(storage, client)
    storage.blobs.delete_prefix(f"jobs/{path.split('/')[2]}/")
    for accept in ("image/png", "image/jpeg"):
        assert client.get(path, headers={"Accept": accept}).status_code == 410


def test_conversions_wait_for_a_decoders_place(services: Services, client: TestClient) -> None:
    path = finished(services, client)
    assert client.portal
    for other in ("one", "two"):
        client.portal.call(services.decoders.quick.acquire_on_behalf_of_nowait, other)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(client.get(path, headers={"Accept": "image/jpeg"}))
    )
    thread.start()
    time.sleep(0.2)
    assert not answers
    assert client.get(path).status_code == 200  # as stored, it needs no place
    client.portal.call(services.decoders.quick.release_on_behalf_of, "two")
    thread.join(20)
    assert answers[0].headers["content-type"] == "image/jpeg"


def test_open_downloads_are_counted(services: Services, client: TestClient) -> None:
    services.downloads.limit = 1
    path = finished(services, client)
    with services.downloads.acquire("127.0.0.1"), services.downloads.acquire("testclient"):
        refused = client.get(path)
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    for _ in range(3):  # each gives its place back
        assert client.get(path).status_code == 200
    assert services.downloads.in_use == 0


@pytest.fixture
def served(services: Services) -> Iterator[int]:
    services.settings.write_timeout = 1.0
    with listening(services) as port:
        yield port


def asked(port: int, path: str) -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    line.connect(("127.0.0.1", port))
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return line


def test_a_client_that_does_not_read_is_left(services: Services, served: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{served}") as http:
        path = finished(services, http)
    lines = [asked(served, path) for _ in range(4)]
    deadline = time.monotonic() + 10
    while services.downloads.in_use < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while services.downloads.in_use:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for line in lines:
        line.close()


def test_a_client_that_reads_slowly_is_served(services: Services, served: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{served}") as http:
        path = finished(services, http)
    with asked(served, path) as line:
        size, started = 0, time.monotonic()
        while size < 5_000_000:
            part = line.recv(300_000)
            assert part
            size += len(part)
            time.sleep(0.02)
    assert time.monotonic() - started > 1.0
