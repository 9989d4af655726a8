"""A service that a proxy makes public."""

from __future__ import annotations

import httpx
import pytest

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from tests.app.gateway.conftest import PUBLIC, bearer
from tests.app.gateway.openai.conftest import Painter
from tests.services import LocalClient, listening


def test_addresses_are_the_public_ones(keyed: Services, mine: str) -> None:
    request = {"prompt": "a bird", "response_format": "url"}
    keyed.settings.public_url, keyed.wakeups = PUBLIC, Painter(keyed)
    with LocalClient(create_app(keyed.settings, keyed), base_url="http://gateway:8000") as http:
        made = http.post("/v1/images/generations", json=request, headers=bearer(mine)).json()
        url = made["data"][0]["url"]
        assert url.startswith(f"{PUBLIC}/v1/images/")
        assert http.get(url.removeprefix(PUBLIC)).headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("trusted", "secure"), [((), False), (("10.0.0.0/8",), False), (("127.0.0.0/8",), True)]
)
def test_only_trusted_proxies_say_who_calls(
    keyed: Services, mine: str, trusted: tuple[str, ...], secure: bool
) -> None:
    changes = {"require_keys": True, "trusted_proxies": trusted}
    settings = keyed.settings.model_copy(update=changes)
    headers = {**bearer(mine), "X-Forwarded-Proto": "https", "X-Forwarded-For": "9.9.9.9"}
    with listening(Services(settings)) as port:
        answer = httpx.post(f"http://127.0.0.1:{port}/session", headers=headers)
    assert ("; Secure" in answer.headers["set-cookie"]) == secure


def test_no_public_url_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMML_PUBLIC_URL", "")  # as a Compose file passes what is not set
    assert GatewaySettings().public_url is None
    monkeypatch.setenv("MMML_PUBLIC_URL", "https://images.example/")
    assert GatewaySettings().public_url == "https://images.example"
