"""The start of a gateway: which addresses need keys, where the first one comes from; its log."""

from __future__ import annotations

import logging
import resource
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.gateway.api_keys import ADMIN, KeyStore, generate_key, verify_key
from app.gateway.auth import AccessError
from app.gateway.server import (
    WithoutSignatures,
    check_access,
    create_app,
    raise_open_file_limit,
    require_keys_unless_loopback,
)
from app.settings import GatewaySettings
from jobs.connections import connect
from tests.app.gateway.conftest import bearer
from tests.services import LocalClient, connected


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False),
        ("127.8.9.1", False),
        ("localhost", False),
        ("::1", False),
        ("[::1]", False),
        ("0.0.0.0", True),  # noqa: S104
        ("::", True),
        ("192.168.1.7", True),
        ("pictures.example", True),
        ("", True),
    ],
)
def test_only_loopback_may_do_without_keys(host: str, public: bool) -> None:
    assert require_keys_unless_loopback(GatewaySettings(), host).require_keys is public
    assert require_keys_unless_loopback(GatewaySettings(require_keys=True), host).require_keys


def test_the_first_key_is_let_in_before_the_start(valkey: str) -> None:
    url, text = valkey.replace("db=0", "db=5"), generate_key()
    client = connect(url)
    settings = GatewaySettings(redis_url=url, require_keys=True)
    with pytest.raises(AccessError, match="without API keys"):
        check_access(settings)
    check_access(GatewaySettings(redis_url=url, require_keys=True, first_key=SecretStr(text)))
    assert verify_key(KeyStore(client), text)
    check_access(settings)
    client.close()


def test_an_absent_redis_is_a_sentence() -> None:
    settings = GatewaySettings(redis_url="redis://:secret@127.0.0.1:1/0", require_keys=True)
    with pytest.raises(AccessError, match="Redis does not answer") as caught:
        check_access(settings, 0.1)
    assert "secret" not in str(caught.value)


def test_an_open_service_asks_nobody() -> None:
    check_access(GatewaySettings(redis_url="redis://127.0.0.1:1/0"), 0.1)


def test_as_many_connections_as_the_system_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        raise_open_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == min(hard if hard > 0 else 65_536, 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_no_start_without_the_keys_that_are_required(weights: Path, valkey: str) -> None:
    settings = GatewaySettings(weights_dir=weights, require_keys=True)
    with (
        pytest.raises(AccessError, match="mmml keys create"),
        LocalClient(create_app(settings, connected(settings, valkey))),
    ):
        pass


def test_the_first_key_comes_from_a_file(
    valkey: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = generate_key()
    (tmp_path / "key").write_text(f"{key}\n")
    monkeypatch.setenv("MMML_FIRST_KEY_FILE", str(tmp_path / "key"))
    settings = GatewaySettings(weights_dir=weights, require_keys=True)
    assert key not in repr(settings)
    with LocalClient(create_app(settings, connected(settings, valkey))) as http:
        result = http.get("/session", headers=bearer(key)).json()
        assert result["name"] == "first"
        assert ADMIN in result["scopes"]


def test_the_access_log_holds_no_signature() -> None:
    path = "/v1/images/a/0?expires=9&signature=deadbeef00&x=1"
    line = logging.makeLogRecord({"args": ("1.2.3.4:5", "GET", path, "1.1", 200)})
    assert WithoutSignatures().filter(line)
    assert "signature=dead…&x=1" in str(line.args)
    assert "beef" not in str(line.args)
