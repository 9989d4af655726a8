"""Browser sessions: a page's pictures and event streams can't send an Authorization header, and a
key in their address would end up in logs; so a page trades its key for a cookie.

Only a hash of the cookie is kept. A session ends with its lifetime, by itself, with its key, or
when its key starts too many others.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import cast

import redis

from app.gateway.api_keys import ApiKey, KeyStore, translate_redis_errors

COOKIE = "mmml_session"
LIFETIME = 12 * 3600  # seconds


MOST_SESSIONS = 20  # of one key; a further one ends the oldest

_START = """
local prefix, digest, key_id = KEYS[1], ARGV[1], ARGV[2]
local lifetime, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now, own = time[1] + time[2] / 1e6, prefix .. 'of:' .. key_id
redis.call('ZREMRANGEBYSCORE', own, '-inf', now - lifetime)
redis.call('ZADD', own, now, digest)
redis.call('EXPIRE', own, lifetime)
redis.call('SET', prefix .. digest, key_id, 'EX', lifetime)
local surplus = redis.call('ZCARD', own) - most
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', own, surplus)
  for place = 1, #oldest, 2 do redis.call('DEL', prefix .. oldest[place]) end
end
"""


class SessionStore:
    """Session hash → key id: a Redis key of its own for each session, which the server forgets in
    time, and a set of each API key's sessions. Methods block, and raise StoreError when Redis can't
    be reached.
    """

    def __init__(self, client: redis.Redis, prefix: str = "mmml:") -> None:
        self._client, self._prefix = client, prefix + "session:"
        self._start = client.register_script(_START)

    def put(self, digest: str, key_id: str, lifetime: int) -> None:
        with translate_redis_errors():
            self._start([self._prefix], [digest, key_id, lifetime, MOST_SESSIONS])

    def get(self, digest: str) -> str | None:
        with translate_redis_errors():
            found = cast("bytes | None", self._client.get(self._prefix + digest))
        return found.decode() if found else None

    def remove(self, digest: str) -> None:
        key_id = self.get(digest)
        with translate_redis_errors(), self._client.pipeline() as pipe:
            pipe.delete(self._prefix + digest)
            pipe.zrem(f"{self._prefix}of:{key_id}", digest)
            pipe.execute()


def start_session(sessions: SessionStore, key: ApiKey) -> str:
    """The cookie's value for a new session of ``key``."""
    value = secrets.token_urlsafe(32)
    sessions.put(_digest(value), key.id, LIFETIME)
    return value


def get_session_key(sessions: SessionStore, keys: KeyStore, value: str) -> ApiKey | None:
    """The session's key, unless it has been revoked."""
    key_id = sessions.get(_digest(value))
    key = keys.get(key_id) if key_id else None
    return key if key and key.revoked_at is None else None


def end_session(sessions: SessionStore, value: str) -> None:
    sessions.remove(_digest(value))


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
