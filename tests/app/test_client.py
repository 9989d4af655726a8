"""The Python client and the command line against a gateway of this process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from app.client import Client, MmmlError
from app.deps import Services
from app.webhooks.signing import headers
from jobs.job import Status
from jobs.store import Outcome
from mmml import BadSignature, verify_webhook
from tests.app.conftest import mask_png, png, succeed


class Through(httpx.BaseTransport):
    """Hands requests to a test client."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._client.request(
            request.method,
            str(request.url.copy_with(scheme="http", host="testserver", port=None)),
            content=request.read(),
            headers={k: v for k, v in request.headers.items() if k != "host"},
        )
        return httpx.Response(
            answer.status_code, headers=dict(answer.headers), content=answer.content
        )


@pytest.fixture
def mmml(client: TestClient) -> Client:
    return Client(transport=Through(client))


def work(services: Services, pictures: int = 1) -> None:
    """A worker that takes one job."""

    def loop() -> None:
        for _ in range(500):
            jobs, _ = services.store.listing(Status.queued, 1, None)
            if jobs:
                succeed(services, jobs[0].id, pictures)
                return
            time.sleep(0.01)

    threading.Thread(target=loop, daemon=True).start()


def test_synthesize_and_save(mmml: Client, services: Services, tmp_path: Path) -> None:
    work(services, 2)
    result = mmml.synthesize("a zorgly bird", seed=3, count=2)
    assert result.warnings == ["Unknown words were left out: zorgly."]
    paths = result.save(tmp_path / "bird.png")
    assert [p.name for p in paths] == ["bird.png", "bird-1.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)


def test_pictures_as_files_bytes_and_addresses(
    mmml: Client, services: Services, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(png())
    work(services)
    first = mmml.manipulate(tmp_path / "photo.png", "a red bird")
    work(services)
    address = first.job["images"][0]["url"]
    assert mmml.inpaint(address, "2,2,5,5", "a red bird").images
    work(services)
    assert mmml.inpaint(png(), mask_png(), "a red bird").images


def test_errors_are_the_services_sentences(mmml: Client, services: Services) -> None:
    with pytest.raises(MmmlError, match="knows no word") as caught:
        mmml.synthesize("qwertz")
    assert caught.value.status == 422
    with pytest.raises(MmmlError, match="no file"):
        mmml.manipulate("nothing.png", "a bird")
    job = mmml.submit("synthesize", "a bird", {})
    mmml.cancel(job["id"])
    with pytest.raises(MmmlError, match="canceled"):
        mmml.result(mmml.wait(job["id"]))


def test_patience_ends(client: TestClient) -> None:
    hasty = Client(transport=Through(client), timeout=0.05)
    job = hasty.submit("synthesize", "a bird", {})
    with pytest.raises(MmmlError, match="still queued"):
        hasty.wait(job["id"], on_change=lambda _: None)


def test_listing(mmml: Client) -> None:
    ids = [mmml.submit("synthesize", "a bird", {})["id"] for _ in range(3)]
    assert [j["id"] for j in mmml.jobs(2)] == ids[:0:-1]
    assert mmml.models()["defaults"]["synthesize"] == "paper"


def test_listing_over_pages_and_of_one_kind(mmml: Client) -> None:
    ids = [mmml.submit("synthesize", "a bird", {})["id"] for _ in range(130)]
    mmml.cancel(ids[0])
    assert [j["id"] for j in mmml.jobs(1000)] == ids[::-1]
    assert [j["id"] for j in mmml.jobs(120)] == ids[:9:-1]
    assert [j["id"] for j in mmml.jobs(5, status="canceled", task="synthesize")] == ids[:1]
    assert mmml.jobs(5, task="inpaint") == []


def test_delete(mmml: Client) -> None:
    job = mmml.submit("synthesize", "a bird", {})["id"]
    mmml.delete(job)
    with pytest.raises(MmmlError, match="deleted") as caught:
        mmml.wait(job)
    assert caught.value.status == 410


def test_events_to_the_end(mmml: Client, services: Services) -> None:
    job = mmml.submit("synthesize", "a bird", {})["id"]
    threading.Timer(0.5, succeed, (services, job)).start()
    events = list(mmml.events(job))
    assert events[0].kind == "status"
    assert events[-1].kind == "final"
    assert mmml.result(events[-1].data).images
    with pytest.raises(MmmlError, match="no such job"):
        list(mmml.events("0" * 32))


class Breaking(Through):
    """Breaks off event streams after the second event, and loses the answers of submissions."""

    def __init__(self, client: TestClient, losses: int) -> None:
        super().__init__(client)
        self.losses = losses
        self.resumed_from: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST" and self.losses:
            self.losses -= 1
            raise httpx.ReadError("connection reset", request=request)
        if request.url.path.endswith("/events"):
            self.resumed_from.append(request.headers.get("last-event-id"))
            blocks = answer.content.split(b"\n\n")
            part = b"\n\n".join([*blocks[:3], b""])
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=part)
        return answer


def test_broken_streams_are_taken_up_where_they_were(
    client: TestClient, services: Services
) -> None:
    transport = Breaking(client, 0)
    mmml = Client(transport=transport)
    job = mmml.submit("synthesize", "a bird", {})["id"]
    services.store.start(job, "t", 10)
    services.store.progress(job, "t", 1, 3)
    services.store.progress(job, "t", 2, 3)
    services.store.finish(job, "t", Outcome())
    events = list(mmml.events(job))
    assert [e.kind for e in events] == ["status", "status", "progress", "progress", "final"]
    assert transport.resumed_from == [None, events[1].id, events[3].id]


def test_a_lost_answer_makes_no_second_job(client: TestClient) -> None:
    mmml = Client(transport=Breaking(client, 2))
    job = mmml.submit("synthesize", "a bird", {})
    assert [j["id"] for j in mmml.jobs()] == [job["id"]]
    with pytest.raises(MmmlError, match="connection reset"):
        Client(transport=Breaking(client, 3)).submit("synthesize", "a bird", {})


def test_the_secret_verifies_messages(mmml: Client) -> None:
    secret = mmml.webhook_secret()
    verify_webhook(secret, headers([secret], "msg_1", time.time(), b"{}"), b"{}")
    with pytest.raises(BadSignature):
        verify_webhook(secret, headers([secret], "msg_1", time.time(), b"{}"), b"{ }")


def test_no_service_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MmmlError, match="mmml serve"):
        Client("http://127.0.0.1:9").synthesize("a bird")
