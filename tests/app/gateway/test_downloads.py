"""Large pictures: sent as they are read, converted once, counted, and never in the others' way."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi.testclient import TestClient
from obstore.store import MemoryStore
from PIL import Image

from app.gateway.openai.responses import UrlSigner, linked_name
from app.gateway.services import Services
from jobs.blobs import BlobStore
from jobs.job import Job, Status
from tests.app.conftest import png
from tests.app.gateway.conftest import LARGE, bearer, finish_with_large_images
from tests.services import listening


def finished(services: Services, client: TestClient | httpx.Client) -> str:
    """The address of a picture of five megabytes."""
    job = client.post("/synthesize", json={"text": "a bird"}).json()["id"]
    finish_with_large_images(services, job)
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
    assert Image.open(io.BytesIO(answer.content)).size == LARGE
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


def test_what_was_erased_is_gone_and_what_got_lost_is_a_fault(
    storage: Services, client: TestClient
) -> None:
    path = finished(storage, client)
    job = path.split("/")[2]
    storage.blobs.delete_prefix(f"jobs/{job}/")
    for accept in ("image/png", "image/jpeg"):
        answer = client.get(path, headers={"Accept": accept})
        assert answer.status_code == 503
        assert "all processes use the same storage" in answer.json()["detail"]
    storage.store.cancel(job, erase=True)  # as a deletion does before the pictures go
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
    with services.downloads.acquire("127.0.0.1"):
        refused = client.get(path)
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    for _ in range(3):  # each gives its place back
        assert client.get(path).status_code == 200
    assert services.downloads.in_use == 0


def test_the_first_picture_of_a_wait_is_counted(services: Services, client: TestClient) -> None:
    headers = {"Accept": "image/png", "Idempotency-Key": "k"}
    keyed: dict[str, Any] = {"json": {"text": "a bird"}, "headers": headers}
    job = client.post("/synthesize", **keyed).headers["location"]
    finish_with_large_images(services, job.rpartition("/")[2])
    services.downloads.limit = 1
    with services.downloads.acquire("127.0.0.1"):
        assert client.post("/synthesize?wait=1", **keyed).status_code == 429
    assert len(client.post("/synthesize?wait=1", **keyed).content) > 5_000_000


def test_open_downloads_by_an_address_are_counted(services: Services, client: TestClient) -> None:
    services.downloads.limit = 4  # and one address may be read once at a time
    jobs = [finished(services, client).split("/")[2] for _ in range(2)]
    links = UrlSigner(services.store, 60)
    first, second = (
        f"/v1/images/{job}/0?{urlencode(links.sign(linked_name(job, 0, None, None)))}"
        for job in jobs
    )
    with services.downloads.acquire(f"link {jobs[0]}/0"):
        assert client.get(first).status_code == 429
        assert client.get(second).status_code == 200
    with ExitStack() as all_of_the_owners:
        for _ in range(4):
            all_of_the_owners.enter_context(services.downloads.acquire("links of "))
        assert client.get(second).status_code == 429
    assert client.get(f"{first}0").status_code == 403
    assert services.downloads.in_use == 0


@pytest.mark.parametrize("stream", [False, True])
def test_large_pictures_within_json_come_whole(
    storage: Services, client: TestClient, stream: bool
) -> None:
    services, sent = storage, list[Job]()

    class Painter:
        def send(self, _count: int) -> None:
            waiting, _ = services.store.list_jobs(Status.queued, 100, None)
            for job in waiting:
                sent.append(job)
                finish_with_large_images(services, job.id, job.pictures)

    services.wakeups = Painter()  # type: ignore[assignment]
    body = {"prompt": "a bird", "n": 2, "stream": stream}
    answer = client.post("/v1/images/generations", json=body)
    texts = answer.text.split("data: ")[1:] if stream else [answer.text]
    held = [json.loads(text.partition("\n")[0]) for text in texts]
    pictures = held if stream else held[0]["data"]
    stored = [services.blobs.get(f"jobs/{sent[0].id}/t-{n}.png") for n in range(2)]
    assert [base64.b64decode(p["b64_json"]) for p in pictures] == stored
    services.downloads.limit = 0
    refused = client.post("/v1/images/generations", json=body)
    assert refused.status_code == 429 or "being read already" in refused.text
    assert services.downloads.in_use == 0


class SlowStore(BlobStore):
    """Takes what is put only while it may."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.may = threading.Event()

    def put(self, key: str, data: bytes) -> None:
        self.may.wait(20)
        super().put(key, data)


def test_who_calls_is_found_out_while_storage_stands_still(
    keyed: Services, http: TestClient, mine: str
) -> None:
    keyed.blobs = slow = SlowStore()
    http.headers.update(bearer(mine))
    photo: dict[str, Any] = {
        "data": {"text": "a red bird"},
        "files": {"image": ("a.png", png(64, 64))},
    }
    with ThreadPoolExecutor(140) as pool:  # more than there are threads for everything else
        sending = [pool.submit(http.post, "/manipulate", **photo) for _ in range(140)]
        time.sleep(1.0)
        started = time.monotonic()
        assert http.get("/jobs").status_code == 200
        assert time.monotonic() - started < 2
        slow.may.set()
        assert {s.result().status_code for s in sending} == {202}


def test_what_is_erased_while_it_is_converted_leaves_nothing(
    services: Services, client: TestClient
) -> None:
    services.blobs = slow = SlowStore()
    slow.may.set()
    path = finished(services, client)
    slow.may.clear()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.get, path, headers={"Accept": "image/jpeg"})
        time.sleep(0.5)
        assert client.delete(path.rpartition("/images")[0]).status_code == 204
        slow.may.set()
        assert answer.result().status_code == 410
    assert not services.blobs.exists(f"jobs/{path.split('/')[2]}/t-0.png.jpeg")


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


def test_what_all_leave_unread_is_bounded(
    services: Services, eventually: Callable[[Callable[[], bool], float], None]
) -> None:
    services.settings.unread_memory = 1024 * 1024
    with listening(services) as port:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            path = finished(services, http)
        with ExitStack() as lines:
            for _ in range(24):
                line = lines.enter_context(asked(port, path))
                assert line.recv(1)
            # Less than 64 kB of an answer is not counted, and a part of it is of 256 kB.
            eventually(lambda: 3 <= services.downloads.in_use <= 16, 20)


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
