"""A gateway that asks for keys, and what callers send to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.images import encode
from jobs.job import ImageRecord, Timings
from jobs.store import JobOutcome
from tests import moves
from tests.services import LocalClient, connected

PUBLIC = "https://pictures.example"
LARGE = (1400, 1200)  # pixels of an image of five megabytes


@pytest.fixture
def keyed(weights: Path, valkey: str) -> Services:
    """A gateway that always asks for keys."""
    return connected(GatewaySettings(weights_dir=weights, require_keys=True), valkey)


@pytest.fixture
def mine(keyed: Services) -> str:
    return key_of(keyed, "mine")


@pytest.fixture
def http(keyed: Services, mine: str) -> Iterator[TestClient]:
    app = create_app(keyed.settings, keyed)
    with LocalClient(app, base_url=PUBLIC, raise_server_exceptions=False) as made:
        yield made


def key_of(services: Services, name: str, scopes: set[str] | None = None, **limits: Any) -> str:
    text = generate_key()
    given = frozenset(scopes) if scopes else default_scopes()
    services.authenticator.keys.add(new_api_key(text, name, given, **limits))
    return text


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def submit(http: TestClient, key: str, **fields: Any) -> httpx.Response:
    return http.post("/synthesize", json={"text": "a bird", **fields}, headers=bearer(key))


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["detail"].endswith((".", "!"))
    return body


def finish_with_large_images(services: Services, job: str, count: int = 1) -> None:
    """The job ends with images of five megabytes."""
    records = []
    for index in range(count):
        noise = Image.frombytes("RGB", LARGE, os.urandom(LARGE[0] * LARGE[1] * 3))
        key = f"jobs/{job}/t-{index}.png"
        services.blobs.put(key, encode(noise))
        size = {"width": LARGE[0], "height": LARGE[1]}
        records.append(ImageRecord(index=index, seed=1, **size, sha256="1" * 64, blob=key))
    moves.finished(services.store, job, JobOutcome(records, Timings(), warnings=()))
