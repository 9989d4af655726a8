"""Browser sessions: a page's pictures and event streams can't send an Authorization header, and a
key in their address would end up in logs; so a page trades its key for a cookie.

Only a hash of the cookie is kept. A session ends with its lifetime, by itself, or with its key.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Protocol, cast

import redis

from app.keys import ApiKey, KeyStore, reaching

COOKIE = "mmml_session"
LIFETIME = 12 * 3600  # seconds


class SessionStore(Protocol):
    """Session hash → key id. Methods block, and raise StoreError when it can't be reached."""

    def put(self, digest: str, key_id: str, lifetime: int) -> None: ...

    def get(self, digest: str) -> str | None: ...

    def remove(self, digest: str) -> None: ...


class RedisSessionStore:
    """A key of its own for each session, which the server forgets in time."""

    def __init__(self, client: redis.Redis, prefix: str = "mmml:") -> None:
        self._client, self._prefix = client, prefix + "session:"

    def put(self, digest: str, key_id: str, lifetime: int) -> None:
        with reaching():
            self._client.set(self._prefix + digest, key_id, ex=lifetime)

    def get(self, digest: str) -> str | None:
        with reaching():
            found = cast("bytes | None", self._client.get(self._prefix + digest))
        return found.decode() if found else None

    def remove(self, digest: str) -> None:
        with reaching():
            self._client.delete(self._prefix + digest)


def start_session(sessions: SessionStore, key: ApiKey) -> str:
    """The cookie's value for a new session of ``key``."""
    value = secrets.token_urlsafe(32)
    sessions.put(_digest(value), key.id, LIFETIME)
    return value


def key_of_session(sessions: SessionStore, keys: KeyStore, value: str) -> ApiKey | None:
    """The session's key, unless it has been revoked."""
    key_id = sessions.get(_digest(value))
    key = keys.get(key_id) if key_id else None
    return key if key and key.revoked_at is None else None


def end_session(sessions: SessionStore, value: str) -> None:
    sessions.remove(_digest(value))


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
