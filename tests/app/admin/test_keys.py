"""``mmml keys`` and the key that client and command line send."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.gateway.api_keys import (
    KeyStore,
    default_scopes,
    generate_key,
    new_api_key,
    verify_key,
)
from app.gateway.server import create_app
from app.settings import GatewaySettings
from jobs.connections import connect
from mmml import Client, MmmlError
from mmml.cli import cli
from tests.client.conftest import Through
from tests.services import LocalClient, connected


@pytest.fixture
def broker(valkey: str, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    """A broker of our own, which ``MMML_REDIS_URL`` names; without any key."""
    monkeypatch.setenv("MMML_REDIS_URL", valkey)
    client = connect(valkey)
    client.delete("mmml:keys")
    return KeyStore(client)


def mmml(*words: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *words])


def test_the_life_of_a_key(broker: KeyStore) -> None:
    made = mmml("create", "shop", "--scope", "synthesize", "--scope", "read", "--rate", "5/minute")
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    key = verify_key(broker, text)
    assert key is not None
    assert (key.name, key.scopes, key.rate) == ("shop", {"synthesize", "read"}, "5/minute")
    listing = mmml("list").output
    assert key.id in listing
    assert "read,synthesize" in listing
    assert "rate=5/minute" in listing
    assert text not in listing
    assert mmml("forget", "shop").exit_code == 1
    assert "revoked" in mmml("revoke", "shop").output
    assert verify_key(broker, text) is None
    assert "revoked" in mmml("list").output
    assert mmml("forget", key.id).exit_code == 0
    nothing = mmml("list")
    assert nothing.stdout == ""
    assert "the service is open" in nothing.stderr
    done = CliRunner().invoke(cli, ["--json", "admin", "audit", "--limit", "3"])
    told = [(one["action"], one["target"]) for one in json.loads(done.stdout)]
    names = ("forget key", "revoke key", "create key")
    assert told == [(action, f"{key.id} shop") for action in names]


def test_a_new_key_takes_over(broker: KeyStore) -> None:
    mmml("create", "old")
    old = broker.all()[0]
    mmml("create", "new", "--take-over", "old", "--max-active", "7", "--pictures-per-day", "9")
    new = broker.all()[1]
    assert new.owner == old.owner
    assert (new.max_active, new.pictures_per_day) == (7, 9)
    assert f"owner={old.id}" in mmml("list").output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("create", "x", "--scope", "paint"), "There is no scope 'paint'"),
        (("create", "x", "--rate", "often"), "60/minute"),
        (("create", "x", "--rate", "1/second;5/minute"), "60/minute"),  # half of it was dropped
        (("create", "x", "--rate", "0/minute"), "60/minute"),  # "try again in 60 s", for ever
        (("create", "x", "--rate", f"{10**20}/minute"), "60/minute"),
        (("create", "x", "--rate", f"5 per {10**14} days"), "60/minute"),
        (("create", "x", "--take-over", "nobody"), "There is no key 'nobody'"),
        (("revoke", "nobody"), "There is no key 'nobody'"),
    ],
)
def test_mistakes_are_sentences(broker: KeyStore, words: tuple[str, ...], sentence: str) -> None:
    result = mmml(*words)
    assert result.exit_code != 0
    assert sentence in result.output
    assert broker.all() == []


def test_keys_are_made_before_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMML_REDIS_URL", raising=False)
    made = mmml("--state-dir", str(tmp_path), "create", "shop")
    assert made.exit_code == 0, made.output
    assert "shop" in mmml("--state-dir", str(tmp_path), "list").output
    assert not (tmp_path / "valkey.sock").exists()


def test_generated_keys_are_not_stored(broker: KeyStore) -> None:
    assert mmml("generate").output.startswith("mmml_")
    assert broker.all() == []


def test_the_client_sends_its_key(
    weights: Path, monkeypatch: pytest.MonkeyPatch, valkey: str
) -> None:
    services = connected(GatewaySettings(weights_dir=weights, require_keys=True), valkey)
    text = generate_key()
    services.authenticator.keys.add(new_api_key(text, "k", default_scopes()))
    with LocalClient(create_app(services.settings, services)) as http:
        transport = Through(http)
        with pytest.raises(MmmlError, match="needs an API key"):
            Client(transport=transport).jobs()
        assert Client(transport=transport, api_key=text).jobs() == []
        monkeypatch.setenv("MMML_API_KEY", text)
        assert Client(transport=transport).jobs() == []
        with pytest.raises(MmmlError, match="not known"):
            Client(transport=transport, api_key="mmml_wrong").jobs()
