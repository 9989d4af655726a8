"""API keys: made here, shown once, and kept as hashes only; and browser sessions.

A key is a random text of 256 bits, so a plain SHA-256 is as good as a slow hash would be. Its id is
a hash too, made in another way: it finds the record, and tells nothing of the key.

A page's pictures and event streams can't send an Authorization header, and a key in their address
would end up in logs; so a page trades its key for a cookie, of which only a hash is kept. A session
ends with its lifetime, by itself, with its key, or when its key starts too many others.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Collection, Iterable
from typing import Any, cast

import redis
from pydantic import BaseModel, ConfigDict, Field

from jobs.errors import JobsError
from jobs.job import Priority
from jobs.redis_scripts import Scripts, translate_errors
from jobs.requests import TASKS

READ, ADMIN = "read", "admin"
MIN_LENGTH = 32  # characters of a key that somebody else made
MIN_DISTINCT = 10
_NO_DIGEST = "0" * 64


class ApiKeyError(JobsError):
    """A key can't be made or used as asked; the message says what to do."""


class ApiKey(BaseModel):
    """One key's record. Jobs belong to ``owner``: the key's own id, or that of the key it took
    over from. Limits that are None follow the service's settings; ``priority`` is the highest that
    its jobs may have.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    digest: str = Field(repr=False)
    name: str
    owner: str
    scopes: frozenset[str]
    created_at: float
    revoked_at: float | None = None
    rate: str | None = None
    pictures_per_day: int | None = None
    max_active: int | None = None
    max_running: int | None = None
    priority: Priority = Priority.normal


@translate_errors
class KeyStore:
    """One hash: id → record. Methods block, and raise StoreError when Redis can't be reached."""

    def __init__(self, client: redis.Redis, prefix: str = "mmml:") -> None:
        self._client, self._key = client, prefix + "keys"

    def get(self, key_id: str) -> ApiKey | None:
        found = cast("bytes | None", self._client.hget(self._key, key_id))
        return ApiKey.model_validate_json(found) if found else None

    def revoked_among(self, key_ids: Collection[str]) -> set[str]:
        """Those that have been revoked."""
        if not key_ids:
            return set()
        records = cast("list[bytes | None]", self._client.hmget(self._key, list(key_ids)))
        keys = [ApiKey.model_validate_json(record) for record in records if record]
        return {key.id for key in keys if key.revoked_at is not None}

    def add(self, key: ApiKey) -> bool:
        """False when the id exists."""
        return bool(self._client.hsetnx(self._key, key.id, key.model_dump_json()))

    def replace(self, key: ApiKey) -> None:
        self._client.hset(self._key, key.id, key.model_dump_json())

    def remove(self, key_id: str) -> None:
        self._client.hdel(self._key, key_id)

    def all(self) -> list[ApiKey]:
        """Oldest first, the revoked ones included."""
        records = cast("list[bytes]", self._client.hvals(self._key))
        keys = map(ApiKey.model_validate_json, records)
        return sorted(keys, key=lambda key: key.created_at)

    def get_first(self) -> ApiKey | None:
        """The key that came from the settings, if that is known."""
        found = cast("bytes | None", self._client.get(f"{self._key}:first"))
        return self.get(found.decode()) if found else None

    def set_first(self, key_id: str) -> None:
        self._client.set(f"{self._key}:first", key_id)

    def any(self) -> bool:
        """Whether there is a record at all, be it of a revoked key."""
        return self._client.hlen(self._key) > 0


def generate_key() -> str:
    return f"mmml_{secrets.token_urlsafe(32)}"


def key_id(text: str) -> str:
    """12 hexadecimal digits that name the key in lists, logs and job records."""
    return hashlib.sha256(b"id of " + text.encode()).hexdigest()[:12]


def default_scopes() -> frozenset[str]:
    """Every task, and looking at one's own jobs."""
    return frozenset({*TASKS, READ})


def parse_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes, if all of them exist; ApiKeyError otherwise. ``tasks`` stands for every task."""
    given = frozenset(scopes)
    known = {*TASKS, READ, ADMIN}
    wanted = (given - {"tasks"}) | (frozenset(TASKS) if "tasks" in given else frozenset())
    if unknown := sorted(wanted - known):
        raise ApiKeyError(
            f"There is no scope {unknown[0]!r}; there are: tasks, {', '.join(sorted(known))}."
        )
    return wanted


def new_api_key(
    text: str, name: str, scopes: frozenset[str], *, owner: str | None = None, **limits: Any
) -> ApiKey:
    """What is stored of the key ``text``. ``limits``: rate, pictures_per_day, max_active,
    max_running and priority of :class:`ApiKey`.
    """
    made = key_id(text)
    return ApiKey(
        id=made,
        digest=_digest(text),
        name=name,
        owner=owner or made,
        scopes=scopes,
        created_at=time.time(),
        **limits,
    )


def verify_key(store: KeyStore, text: str) -> ApiKey | None:
    """The record of a key that may be used. Digests are compared in constant time, and an unknown
    key costs the same work as a known one.
    """
    found = store.get(key_id(text))
    genuine = hmac.compare_digest(found.digest if found else _NO_DIGEST, _digest(text))
    return found if found and genuine and found.revoked_at is None else None


def revoke(store: KeyStore, wanted: str) -> ApiKey:
    """End a key, for ever; its record stays, so that a service does not turn open."""
    found = find_key(store, wanted)
    if found.revoked_at is not None:
        return found
    ended = found.model_copy(update={"revoked_at": time.time()})
    store.replace(ended)
    return ended


def find_key(store: KeyStore, wanted: str) -> ApiKey:
    """The key with that id, or the only one with that name, those in use first; ApiKeyError
    otherwise.
    """
    found = store.get(wanted)
    if found:
        return found
    same = [key for key in store.all() if key.name == wanted]
    same = [key for key in same if key.revoked_at is None] or same
    if len(same) == 1:
        return same[0]
    if same:
        raise ApiKeyError(f"{len(same)} keys are named {wanted!r}; give the id of one.")
    raise ApiKeyError(f"There is no key {wanted!r}. List them with: mmml keys list")


def add_first_key(store: KeyStore, text: str) -> None:
    """Let the key of the settings in, with every scope. A new one takes the place of the one before
    and has its jobs; that one is revoked. A key revoked since stays revoked, so a gateway that
    starts again with the earlier one changes nothing.
    """
    if len(text) < MIN_LENGTH:
        raise ApiKeyError(
            f"MMML_FIRST_KEY has {len(text)} characters, and {MIN_LENGTH} are needed. "
            f"Make one with: mmml keys generate"
        )
    if len(set(text)) < MIN_DISTINCT or not text.isascii() or not text.isprintable() or " " in text:
        raise ApiKeyError(
            f"MMML_FIRST_KEY could be guessed: it needs {MIN_DISTINCT} different characters, and "
            "letters, digits and signs only. Make one with: mmml keys generate"
        )
    before, own = store.get_first(), store.get(key_id(text))
    if own is not None and own.revoked_at is not None:
        return
    replaced = before if before and before.id != key_id(text) else None
    if replaced:
        revoke(store, replaced.id)
    if own is None:
        owner = replaced.owner if replaced else None
        store.add(new_api_key(text, "first", default_scopes() | {ADMIN}, owner=owner))
    if replaced or before is None:
        store.set_first(key_id(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


COOKIE = "mmml_session"
SECURE_COOKIE = f"__Host-{COOKIE}"  # over TLS; no neighbouring host can set it (RFC 6265bis)
LIFETIME = 12 * 3600  # seconds
MOST_SESSIONS = 20  # of one key; a further one ends the oldest


@translate_errors
class SessionStore:
    """Session hash → key id: a Redis key of its own for each session, which the server forgets in
    time, and a set of each API key's sessions. Methods block, and raise StoreError when Redis can't
    be reached.
    """

    def __init__(self, client: redis.Redis, prefix: str = "mmml:") -> None:
        self._client, self._prefix = client, prefix + "session:"
        self._scripts = Scripts(client, prefix)

    def put(self, value: str, key_id: str, lifetime: int) -> None:
        """``value``: of the cookie."""
        self._scripts.call("start_session", _digest(value), key_id, lifetime, MOST_SESSIONS)

    def get(self, value: str) -> str | None:
        """The id of the session's key."""
        found = cast("bytes | None", self._client.get(self._prefix + _digest(value)))
        return found.decode() if found else None

    def remove(self, value: str) -> None:
        key_id = self.get(value)
        with self._client.pipeline() as pipe:
            pipe.delete(self._prefix + _digest(value))
            pipe.zrem(f"{self._prefix}of:{key_id}", _digest(value))
            pipe.execute()


def get_session_key(sessions: SessionStore, keys: KeyStore, value: str) -> ApiKey | None:
    """The session's key, unless it has been revoked."""
    key_id = sessions.get(value)
    key = keys.get(key_id) if key_id else None
    return key if key and key.revoked_at is None else None
