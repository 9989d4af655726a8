"""A request sent twice is done once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient

from app.gateway.auth import Caller
from app.gateway.services import Services
from app.gateway.submission import submit
from app.gateway.uploads import UploadedFile
from app.settings import GatewaySettings
from jobs.errors import BlobMissing
from jobs.redis_store import JobStore
from jobs.requests import TASKS
from jobs.store import CreateResult, IdempotencyKey, NewJob
from tests.app.conftest import mask_png, png, succeed

BIRD = {"text": "a red bird"}


def post(client: TestClient, key: str, path: str = "/synthesize", **values: Any) -> Any:
    return client.post(path, headers={"Idempotency-Key": key}, **({"json": BIRD} | values))


def count(client: TestClient) -> int:
    return len(client.get("/jobs").json()["jobs"])


def test_the_same_request_gives_the_same_job(client: TestClient, services: Services) -> None:
    first, again = post(client, "one"), post(client, "one")
    assert (first.status_code, again.status_code) == (202, 202)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    succeed(services, first.json()["id"])
    done = post(client, "one")
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    assert count(client) == 1


def test_another_key_or_none_gives_another_job(client: TestClient) -> None:
    ids = {post(client, key).json()["id"] for key in ("one", "two")}
    ids |= {client.post("/synthesize", json=BIRD).json()["id"] for _ in range(2)}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/synthesize", {"json": {"text": "a blue bird"}}),
        ("/synthesize", {"json": BIRD | {"seed": 1}}),
        ("/manipulate", {"json": BIRD | {"image": base64.b64encode(png()).decode()}}),
    ],
)
def test_a_key_serves_one_request(client: TestClient, path: str, values: Any) -> None:
    post(client, "one")
    other = post(client, "one", path, **values)
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]
    assert count(client) == 1


def form(photo: bytes, mask: bytes) -> dict[str, Any]:
    return {"json": None, "data": BIRD, "files": {"image": photo, "mask": mask}}


def test_pictures_are_part_of_the_request(client: TestClient) -> None:
    first = post(client, "one", "/inpaint", **form(png(), mask_png()))
    again = post(client, "one", "/inpaint", **form(png(), mask_png()))
    assert first.json()["id"] == again.json()["id"]
    other = post(client, "one", "/inpaint", **form(png(colour=(1, 2, 3)), mask_png()))
    assert other.status_code == 422


def test_a_refused_request_may_be_put_right(client: TestClient) -> None:
    assert post(client, "one", json={"text": ""}).status_code == 422
    assert post(client, "one").status_code == 202


def test_a_deleted_job_is_not_made_again(client: TestClient) -> None:
    job = post(client, "one").json()["id"]
    client.delete(f"/jobs/{job}")
    again = post(client, "one")
    assert again.status_code == 410
    assert again.json()["job"] == job


def test_quotes_are_the_headers_own(client: TestClient) -> None:
    """The draft has a structured-field string; many clients send it bare."""
    assert post(client, '"one"').json()["id"] == post(client, "one").json()["id"]


@pytest.mark.parametrize("key", ["", " ", '""', "a b", "a\\b", "x" * 256, 'a"b'])
def test_odd_keys_are_refused(client: TestClient, key: str) -> None:
    response = post(client, key)
    assert response.status_code == 400
    assert "random UUID" in response.json()["detail"]


def test_many_at_a_time_give_one_job(client: TestClient, services: Services) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(client, "one"), range(24)))
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["id"] for a in answers}) == 1
    assert count(client) == 1


class Overtaking(JobStore):
    """Meanwhile another gateway records the same request first."""

    refused: list[str] = []  # noqa: RUF012

    def create_all(self, jobs: Sequence[NewJob]) -> CreateResult:
        (new,) = jobs
        if not self.refused:
            first = new.job.model_copy(update={"id": "0" * 32})
            super().create_all([replace(new, job=first)])
        self.refused.append(new.job.id)
        return super().create_all(jobs)


def test_the_overtaken_request_leaves_nothing_behind(settings: GatewaySettings) -> None:
    services = late = Services(settings, Overtaking)
    store = late.store
    assert isinstance(store, Overtaking)
    pictures = {"image": UploadedFile(png())}
    once = IdempotencyKey("name", "print", 60)
    anybody = Caller(None, "127.0.0.1")
    found = anyio.run(submit, late, anybody, TASKS["manipulate"], BIRD, pictures, once)
    assert (found.job.id, found.replayed) == ("0" * 32, True)
    with pytest.raises(BlobMissing):
        services.blobs.get(f"jobs/{store.refused[0]}/in-image.png")
    assert store.load().waiting == 1
