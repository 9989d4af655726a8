"""Who is calling, and what they may do.

A service without any key is *open*: whoever reaches it may use it, and
:mod:`app.gateway.middleware` sees to it that only this machine does. From the first key on, every
caller shows one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, TypeVar

import redis

from app.gateway.api_keys import (
    ADMIN,
    READ,
    ApiKey,
    KeyStore,
    SessionStore,
    add_first_key,
    get_session_key,
    verify_key,
)
from app.gateway.problems import Problem
from app.gateway.rate_limits import LimitStatus, Policy, RateLimiter
from app.settings import GatewaySettings
from jobs.batch import Batch
from jobs.errors import JobsError, StoreError
from jobs.job import Job

T = TypeVar("T", Job, Batch)
RateName = Literal["submit", "read", "login"]  # jobs; what submits none; sessions

_MODE_CACHE_SECONDS = 2.0  # seconds after which it is looked up again whether there are keys


class AccessError(JobsError):
    """The service may not start like this; the message says what to do."""


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request. ``key`` is None on an open service; ``address`` is an IP address."""

    key: ApiKey | None
    address: str

    @property
    def key_id(self) -> str:
        """Empty on an open service."""
        return self.key.id if self.key else ""

    @property
    def owner(self) -> str:
        """To whom this caller's jobs belong; empty on an open service."""
        return self.key.owner if self.key else ""

    @property
    def rate_limit_key(self) -> str:
        """What limits are counted by."""
        return self.key_id or self.address

    @property
    def list_scope(self) -> str | None:
        """Whose jobs a listing shows: those of this owner, or everybody's (None)."""
        return None if self.has_scope(ADMIN) else self.owner

    def has_scope(self, scope: str) -> bool:
        """An open service has nobody to administrate, so its callers are not administrators; who
        administrates may look.
        """
        if self.key is None:
            return scope != ADMIN
        return scope in self.key.scopes or (scope == READ and ADMIN in self.key.scopes)

    def require_scope(self, scope: str) -> None:
        """Raises Problem 403 when the key lacks ``scope``."""
        if not self.has_scope(scope):
            have = ", ".join(sorted(self.key.scopes)) if self.key else "tasks, read"
            raise Problem(
                403,
                f"This needs a key with the scope {scope!r}; this one has: {have}.",
                scope=scope,
            )

    def get_visible(self, job: T | None) -> T | None:
        """The job, if the caller may know of it: another owner's is as good as none."""
        is_visible = job and (job.owner == self.owner or self.has_scope(ADMIN))
        return job if is_visible else None


class Authenticator:
    """Keys, sessions and rates of one gateway. All methods block."""

    def __init__(self, client: redis.Redis, settings: GatewaySettings) -> None:
        prefix = settings.redis_prefix
        self.keys, self.sessions = KeyStore(client, prefix), SessionStore(client, prefix)
        self.rate_limiter = RateLimiter(client, prefix)
        self._settings = settings
        self._is_open: bool | None = None
        self._checked_at = float("-inf")

    def is_open(self) -> bool:
        """Whether no key is needed. Asked again every two seconds; while the store can't be reached
        nothing changes, and StoreError is raised only when it was never known.
        """
        known = self.cached_is_open
        if known is not None:
            return known
        try:
            self._is_open = not self.keys.any()
        except StoreError:
            if self._is_open is None:
                raise
        self._checked_at = time.monotonic()
        return self._is_open

    @property
    def cached_is_open(self) -> bool | None:
        """The same without asking anybody; None when it has to be looked up again."""
        if self._settings.require_keys:
            return False
        return self._is_open if time.monotonic() - self._checked_at < _MODE_CACHE_SECONDS else None

    def authenticate(self, key_text: str | None, session: str | None, address: str) -> Caller:
        """The caller with that key or session cookie; Problem 401 when it is neither, or 429 for
        an address that has shown too many wrong keys. An open service looks at neither.
        """
        if self.is_open():
            return Caller(None, address)
        if key_text is not None:
            key = verify_key(self.keys, key_text)
        elif session is not None:
            key = get_session_key(self.sessions, self.keys, session)
        else:
            raise unauthorized("This service needs an API key: send Authorization: Bearer KEY.")
        if key is not None:
            return Caller(key, address)
        wrong = Policy.parse("wrong-keys", self._settings.rate_wrong_keys)
        standing = self.rate_limiter.hit(wrong, address)
        standing.require("This address has shown too many keys that are not known.")
        raise unauthorized("This API key is not known, or has been revoked.")

    def count(self, caller: Caller, name: RateName) -> LimitStatus | None:
        """One more request in the moving window of that name; None on an open service."""
        if caller.key is None:
            return None
        own = caller.key.rate if name == "submit" else None
        policy = Policy.parse(name, own or getattr(self._settings, f"rate_{name}"))
        return self.rate_limiter.hit(policy, caller.rate_limit_key)

    def count_login(self, caller: Caller) -> None:
        """The same for sessions. Raises Problem 429."""
        standing = self.count(caller, "login")
        if standing:
            standing.require(f"This key may start {standing.policy.item} sessions.")

    def charge_pictures(self, caller: Caller, count: int) -> None:
        """Take ``count`` from the day's pictures, where they are limited. Raises Problem 429."""
        daily = caller.key.pictures_per_day if caller.key else None
        if daily is None:
            return
        standing = self.rate_limiter.charge(
            Policy.parse("pictures", f"{daily}/day"), caller.rate_limit_key, count
        )
        standing.require(
            f"This key may make {daily} pictures a day; {standing.remaining} are left, and this "
            f"request is for {count}."
        )


def ensure_keys(keys: KeyStore, settings: GatewaySettings) -> None:
    """Let the settings' first key in. AccessError when keys are required and there is none that
    works. Blocks.
    """
    if settings.first_key:
        add_first_key(keys, settings.first_key.get_secret_value())
    if settings.require_keys and all(key.revoked_at is not None for key in keys.all()):
        raise AccessError(
            "Refusing to serve on a public address without API keys. Make one with 'mmml keys "
            "create NAME', or put one into MMML_FIRST_KEY or the file that MMML_FIRST_KEY_FILE "
            "names ('mmml keys generate' prints one); or listen on 127.0.0.1 only."
        )


def unauthorized(detail: str) -> Problem:
    """401."""
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="mmml"'})
