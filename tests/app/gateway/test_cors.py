"""Web pages of other origins: kept out, unless a setting names them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.gateway.api_keys import generate_key
from app.gateway.server import create_app
from app.settings import GatewaySettings
from tests.services import LocalClient, connected

PAGE = "https://gallery.example:8443"
ASKING = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    "Access-Control-Request-Private-Network": "true",
}


def gateway(weights: Path, valkey: str, **given: object) -> TestClient:
    settings = GatewaySettings(weights_dir=weights, **given)  # type: ignore[arg-type]
    return LocalClient(create_app(settings, connected(settings, valkey)))


def test_closed_by_default_in_a_sentence(weights: Path, valkey: str) -> None:
    with gateway(weights, valkey) as client:
        for method in ("OPTIONS", "POST"):
            answer = client.request(method, "/synthesize", headers={"Origin": PAGE, **ASKING})
            assert answer.status_code == 403
            assert "MMML_CORS_ORIGINS" in answer.json()["detail"]
            assert "access-control-allow-origin" not in answer.headers


def test_a_named_origin_is_let_in(weights: Path, valkey: str) -> None:
    with gateway(weights, valkey, cors_origins=[PAGE]) as client:
        asked = client.options("/synthesize", headers={"Origin": PAGE, **ASKING})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == PAGE
        assert "idempotency-key" in asked.headers["access-control-allow-headers"]
        assert asked.headers["access-control-allow-private-network"] == "true"
        made = client.post("/synthesize", json={"text": "a bird"}, headers={"Origin": PAGE})
        assert made.status_code == 202
        assert made.headers["access-control-allow-origin"] == PAGE
        assert "Location" in made.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in made.headers


def test_a_page_can_read_why_it_was_refused(weights: Path, valkey: str) -> None:
    with gateway(weights, valkey, cors_origins=[PAGE], first_key=generate_key()) as client:
        answer = client.get("/jobs", headers={"Origin": PAGE})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(
    "origin", ["https://gallery.example", "http://gallery.example:8443", "null"]
)
def test_others_stay_outside(weights: Path, valkey: str, origin: str) -> None:
    with gateway(weights, valkey, cors_origins=[PAGE]) as client:
        assert client.options("/jobs", headers={"Origin": origin, **ASKING}).status_code == 400
        answer = client.get("/jobs", headers={"Origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_origins_are_checked_at_start() -> None:
    assert GatewaySettings(cors_origins=["HTTPS://App.Example/"]).cors_origins == (
        "https://app.example",
    )
    for wrong in ("*", "null", "app.example", "https://app.example/page", "file:///x"):
        with pytest.raises(ValidationError, match="is no origin"):
            GatewaySettings(cors_origins=[wrong])
