"""Keys and sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import redis

from app.gateway.api_keys import (
    ADMIN,
    ApiKeyError,
    KeyStore,
    SessionStore,
    add_first_key,
    default_scopes,
    find_key,
    generate_key,
    get_session_key,
    key_id,
    new_api_key,
    parse_scopes,
    revoke,
    verify_key,
)
from jobs.connections import connect
from jobs.errors import StoreError


@dataclass
class Stores:
    keys: KeyStore
    sessions: SessionStore


@pytest.fixture
def stores(redis_client: redis.Redis, prefix: str) -> Stores:
    return Stores(KeyStore(redis_client, prefix), SessionStore(redis_client, prefix))


def added(store: KeyStore, name: str = "shop") -> str:
    text = generate_key()
    assert store.add(new_api_key(text, name, default_scopes()))
    return text


def test_a_key_is_found_by_its_text_only(stores: Stores) -> None:
    assert not stores.keys.any()
    text = added(stores.keys)
    found = verify_key(stores.keys, text)
    assert found is not None
    assert (found.name, found.owner) == ("shop", found.id)
    assert stores.keys.any()
    for wrong in (text[:-1], text + "x", found.id, found.digest, "", "é"):
        assert verify_key(stores.keys, wrong) is None


def test_only_hashes_are_kept(stores: Stores) -> None:
    text = added(stores.keys)
    kept = stores.keys.all()[0].model_dump_json()
    assert text not in kept
    assert text.removeprefix("mmml_") not in kept
    assert len(text) >= 40
    assert generate_key() != text


def test_a_record_under_the_right_id_needs_the_right_digest(stores: Stores) -> None:
    text = generate_key()
    forged = new_api_key(generate_key(), "x", default_scopes()).model_copy(
        update={"id": key_id(text)}
    )
    stores.keys.add(forged)
    assert verify_key(stores.keys, text) is None


def test_revoked_is_for_ever(stores: Stores) -> None:
    text = added(stores.keys)
    ended = revoke(stores.keys, "shop")
    assert ended.revoked_at is not None
    assert verify_key(stores.keys, text) is None
    assert revoke(stores.keys, ended.id) == ended
    assert not stores.keys.add(new_api_key(text, "again", default_scopes()))
    assert stores.keys.any()  # its record keeps the service from turning open
    stores.keys.remove(ended.id)
    assert not stores.keys.any()


def test_names_that_are_not_enough(stores: Stores) -> None:
    added(stores.keys)
    added(stores.keys)
    with pytest.raises(ApiKeyError, match="2 keys are named"):
        find_key(stores.keys, "shop")
    with pytest.raises(ApiKeyError, match="mmml keys list"):
        find_key(stores.keys, "nobody")
    first, second = stores.keys.all()
    revoke(stores.keys, first.id)
    assert find_key(stores.keys, "shop") == second


def test_scopes() -> None:
    assert parse_scopes(["tasks"]) == {"synthesize", "manipulate", "inpaint"}
    assert parse_scopes(["read", "inpaint"]) == {"read", "inpaint"}
    assert ADMIN not in default_scopes()
    with pytest.raises(ApiKeyError, match="no scope 'paint'"):
        parse_scopes(["paint"])


def test_the_first_key_comes_once(stores: Stores) -> None:
    text = "0123456789" * 4
    add_first_key(stores.keys, text)
    first = verify_key(stores.keys, text)
    assert first is not None
    assert ADMIN in first.scopes
    revoke(stores.keys, first.id)
    add_first_key(stores.keys, text)  # the next start
    assert verify_key(stores.keys, text) is None
    with pytest.raises(ApiKeyError, match="has 5 characters"):
        add_first_key(stores.keys, "short")


def test_another_first_key_takes_the_place_of_the_one_before(stores: Stores) -> None:
    texts = [generate_key() for _ in range(3)]
    other = added(stores.keys, "first")  # somebody's own of that name
    for text in texts:
        add_first_key(stores.keys, text)
        add_first_key(stores.keys, text)  # another gateway, or the next start
    found = [verify_key(stores.keys, text) for text in texts]
    assert found[:2] == [None, None]
    assert found[2] is not None
    oldest = stores.keys.get(key_id(texts[0]))
    assert oldest is not None
    assert found[2].owner == oldest.owner  # jobs stay reachable
    add_first_key(stores.keys, texts[0])  # a gateway that still has the earlier one starts again
    assert verify_key(stores.keys, texts[0]) is None
    assert verify_key(stores.keys, texts[2]) == found[2]
    assert verify_key(stores.keys, other) is not None


def test_a_first_key_of_an_earlier_version_is_known_after_one_start(stores: Stores) -> None:
    old, new = "0123456789" * 4, "9876543210" * 4
    stores.keys.add(new_api_key(old, "first", default_scopes() | {ADMIN}))
    add_first_key(stores.keys, old)
    add_first_key(stores.keys, new)
    assert verify_key(stores.keys, old) is None
    assert verify_key(stores.keys, new) is not None


def test_a_session_ends_with_its_key(stores: Stores) -> None:
    text = added(stores.keys)
    key = verify_key(stores.keys, text)
    assert key is not None
    first, second = "one", "two"
    for value in (first, second):
        stores.sessions.put(value, key.id, 60)
    assert get_session_key(stores.sessions, stores.keys, first) == key
    stores.sessions.remove(first)
    assert get_session_key(stores.sessions, stores.keys, first) is None
    revoke(stores.keys, key.id)
    assert get_session_key(stores.sessions, stores.keys, second) is None
    assert get_session_key(stores.sessions, stores.keys, text) is None


def test_a_session_ends_with_its_lifetime(
    stores: Stores, eventually: Callable[[Callable[[], bool], float], None]
) -> None:
    stores.sessions.put("long", "key", 100)
    stores.sessions.put("short", "key", 1)
    eventually(lambda: stores.sessions.get("short") is None, 10)
    assert stores.sessions.get("long") == "key"


def test_an_absent_server_is_a_store_error() -> None:
    keys = KeyStore(connect("redis://127.0.0.1:1/0", 0.2))
    with pytest.raises(StoreError):
        keys.any()


@pytest.mark.parametrize(
    "weak", ["a" * 40, "abcd" * 10, "mmml_" + "0" * 40, "key with spaces in it " * 3]
)
def test_a_first_key_that_could_be_guessed_is_refused(stores: Stores, weak: str) -> None:
    with pytest.raises(ApiKeyError, match="could be guessed"):
        add_first_key(stores.keys, weak)
