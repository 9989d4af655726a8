"""Which addresses need keys, and what happens at the start without them."""

from __future__ import annotations

import resource

import pytest
from pydantic import SecretStr

from app.gateway.api_keys import KeyStore, generate_key, verify_key
from app.gateway.auth import AccessError
from app.gateway.server import check_access, raise_open_file_limit, require_keys_unless_loopback
from app.settings import GatewaySettings
from jobs.connections import connect


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
