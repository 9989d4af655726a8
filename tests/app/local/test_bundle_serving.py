"""Noise scale and candidates: what the gateway takes, decides and counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from tests.conftest import write_paper_bundle
from tests.services import LocalClient, connected


def services_of(weights: Path, valkey: str, *parts: str) -> Services:
    """With a bundle that serves four candidates, if it holds what chooses."""
    write_paper_bundle(weights / "served", ("synthesize", *parts))
    path = weights / "served/bundle.json"
    raw = json.loads(path.read_text())
    raw["tasks"]["synthesize"]["serving"] = {"noise_scale": 0.6, "candidates": 4}
    path.write_text(json.dumps(raw))
    return connected(GatewaySettings(weights_dir=weights), valkey)


def options(answer: Any) -> tuple[Any, Any]:
    assert answer.status_code == 202, answer.text
    result = answer.json()["input"]
    return result["noise_scale"], result["candidates"]


@pytest.fixture
def served(tmp_path: Path, valkey: str) -> Services:
    return services_of(tmp_path, valkey, "damsm")


def test_the_bundle_decides_what_is_left_open(served: Services) -> None:
    with LocalClient(create_app(served.settings, served)) as client:
        form = {"text": "a bird", "noise_scale": "0.25", "candidates": "2"}
        assert options(client.post("/synthesize", data={"text": "a bird"})) == (0.6, 4)
        assert options(client.post("/synthesize", data=form)) == (0.25, 2)
        morph = {"text": ["a red bird", "a blue bird"], "frames": 3}
        assert options(client.post("/synthesize", json=morph)) == (0.6, 1)
        (bundle,) = client.get("/models").json()["bundles"]
        assert bundle["tasks"]["synthesize"]["serving"] == {"noise_scale": 0.6, "candidates": 4}
        generated = client.post("/v1/images/generations", json={"prompt": "a", "candidates": 2})
        assert generated.status_code == 400


def test_nobody_chooses_without_encoders(tmp_path: Path, valkey: str) -> None:
    blind = services_of(tmp_path, valkey)
    with LocalClient(create_app(blind.settings, blind)) as client:
        assert options(client.post("/synthesize", data={"text": "a bird"})) == (0.6, 1)
        refused = client.post("/synthesize", data={"text": "a bird", "candidates": "2"})
        assert refused.status_code == 422
        assert "lacks damsm" in refused.json()["detail"]


def test_a_day_of_pictures_counts_those_that_come_back(served: Services) -> None:
    key = generate_key()
    served.authenticator.keys.add(new_api_key(key, "daily", default_scopes(), pictures_per_day=3))
    with LocalClient(create_app(served.settings, served)) as client:
        headers = {"authorization": f"Bearer {key}"}
        form = {"text": "a bird", "count": "3", "candidates": "8"}
        assert client.post("/synthesize", data=form, headers=headers).status_code == 202
        assert client.post("/synthesize", data=form, headers=headers).status_code == 429
