"""Webhooks as a client sees them: asked for, refused, shown, verified."""

from __future__ import annotations

import pytest
import standardwebhooks
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import WebhookSettings
from app.webhooks.signing import new_secret
from tests.app.conftest import png, succeed
from tests.services import LocalClient

HOOK = "https://example.com/hook?job=1"


def test_a_webhook_is_kept_and_shown(client: TestClient, services: Services) -> None:
    job = client.post("/synthesize", json={"text": "a bird", "webhook": HOOK}).json()
    assert job["webhook"] == {"url": HOOK, "state": "waiting", "attempts": 0, "detail": ""}
    assert "webhook" not in job["input"]
    succeed(services, job["id"])
    assert client.get(f"/jobs/{job['id']}").json()["webhook"]["state"] == "pending"
    assert services.store.webhooks_due() == [job["id"]]


def test_forms_take_one_too(client: TestClient) -> None:
    form = {"text": "a bird", "webhook": HOOK}
    job = client.post("/manipulate", data=form, files={"image": png()}).json()
    assert job["webhook"]["url"] == HOOK


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "must begin with https"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://169.254.169.254/latest", "not a public address"),
        ("https://2130706433/", "no plain IP address"),
        ("https://user@example.com/", "user name"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com/" + "a" * 2000, "more than 2000 characters"),
        ("", "characters"),
    ],
)
def test_hostile_webhooks_are_refused_at_once(client: TestClient, url: str, why: str) -> None:
    response = client.post("/synthesize", json={"text": "a bird", "webhook": url})
    assert response.status_code == 422
    assert why in response.json()["detail"]
    assert client.get("/jobs").json()["jobs"] == []


def test_the_secret_is_drawn_once(client: TestClient) -> None:
    first = client.get("/webhooks/secret")
    assert first.headers["cache-control"] == "no-store"
    secret = first.json()["secret"]
    standardwebhooks.Webhook(secret)
    assert client.get("/webhooks/secret").json()["secret"] == secret


def test_the_settings_secret_comes_first(services: Services) -> None:
    new, old = new_secret(), new_secret()
    settings = services.settings.model_copy(
        update={"webhook_secret": WebhookSettings(webhook_secret=f"{new} {old}").webhook_secret}
    )
    with LocalClient(create_app(settings, Services(settings))) as client:
        assert client.get("/webhooks/secret").json()["secret"] == new


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMML_WEBHOOK_NETWORKS", '["10.1.0.0/16", "fd00:1::/32"]')
    monkeypatch.setenv("MMML_WEBHOOK_PORTS", "[]")
    monkeypatch.setenv("MMML_WEBHOOK_ALLOW_HTTP", "1")
    monkeypatch.setenv("MMML_WEBHOOK_SECRET", f"{new_secret()} {new_secret()}")
    settings = WebhookSettings()
    assert settings.webhook_policy().check("http://10.1.2.3:9000/").port == 9000
    assert "whsec_" not in repr(settings)
    for name, value in (("SECRET", "whsec_short"), ("NETWORKS", '["10.1.2.3/16"]')):
        monkeypatch.setenv(f"MMML_WEBHOOK_{name}", value)
        with pytest.raises(ValidationError):
            WebhookSettings()
        monkeypatch.delenv(f"MMML_WEBHOOK_{name}")
