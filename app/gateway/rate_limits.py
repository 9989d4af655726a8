"""How much one caller may ask for: requests in a moving window, pictures in a day.

Counted by the library ``limits``, on Redis. What is left is reported in the headers
``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-11).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import prometheus_client
import redis
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from redis.exceptions import OutOfMemoryError

from app.gateway.problems import Problem
from jobs.errors import StoreError

_REFUSED = prometheus_client.Counter(
    "mmml_rate_limited", "requests refused by a rate limit", ["policy"]
)
_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@dataclass(frozen=True)
class Policy:
    """A named limit, such as ``submit``, 600/minute."""

    name: str
    item: RateLimitItem

    @classmethod
    def parse(cls, name: str, text: str) -> Policy:
        """From words such as ``600/minute`` or ``5 per 2 hours``; ValueError otherwise."""
        return cls(name, parse(text))

    @property
    def window(self) -> int:
        """Seconds."""
        return int(self.item.get_expiry())


@dataclass(frozen=True)
class LimitStatus:
    """Where a caller stands. ``reset``: seconds until something is given back."""

    policy: Policy
    allowed: bool
    remaining: int
    reset: int

    def require(self, refusal: str) -> None:
        """Raises Problem 429 unless it is allowed, with the moment from which it is worth trying
        again; ``refusal``: a sentence.
        """
        if self.allowed:
            return
        name = self.policy.name
        _REFUSED.labels(name).inc()
        members: dict[str, Any] = {"type": _EXCEEDED, "violated-policies": [name]}
        detail = f"{refusal} Try again in {self.reset} s."
        raise Problem(429, detail, retry_after=self.reset, **members)


class RateLimiter:
    """Counts by policy and caller, for all gateways. Blocks; raises StoreError when Redis can't be
    reached.
    """

    def __init__(self, client: redis.Redis, prefix: str = "mmml:") -> None:
        storage = RedisStorage(
            "redis://",  # not used: the connections are the client's
            connection_pool=client.connection_pool,
            key_prefix=f"{prefix}limits",
            wrap_exceptions=True,
        )
        self._moving = MovingWindowRateLimiter(storage)
        self._fixed = FixedWindowRateLimiter(storage)

    def hit(self, policy: Policy, caller: str) -> LimitStatus:
        """One more request, if the moving window has room for it."""
        return self._count(self._moving, policy, caller, 1)

    def charge(self, policy: Policy, caller: str, cost: int) -> LimitStatus:
        """``cost`` from a budget that is filled up when its window ends: a long window need not
        remember each moment.
        """
        return self._count(self._fixed, policy, caller, cost)

    def _count(
        self,
        limiter: MovingWindowRateLimiter | FixedWindowRateLimiter,
        policy: Policy,
        caller: str,
        cost: int,
    ) -> LimitStatus:
        try:
            # A refused fixed window would count the refused cost too, so it is asked first.
            allowed = (
                limiter is self._moving or limiter.test(policy.item, policy.name, caller, cost=cost)
            ) and limiter.hit(policy.item, policy.name, caller, cost=cost)
            stats = limiter.get_window_stats(policy.item, policy.name, caller)
        except StorageError as error:
            if isinstance(error.storage_error, OutOfMemoryError):
                # New jobs are refused elsewhere; whoever reads and erases is not held up.
                return LimitStatus(policy, True, policy.item.amount, policy.window)
            raise StoreError(f"the limits can't be counted: {error}") from error
        reset = min(max(math.ceil(stats.reset_time - time.time()), 1), policy.window)
        return LimitStatus(policy, allowed, max(stats.remaining, 0), reset)


def rate_limit_headers(statuses: Sequence[LimitStatus]) -> list[tuple[bytes, bytes]]:
    """The two headers, one member for each policy."""
    if not statuses:
        return []
    policies = [f'"{s.policy.name}";q={s.policy.item.amount};w={s.policy.window}' for s in statuses]
    left = [f'"{s.policy.name}";r={s.remaining};t={s.reset}' for s in statuses]
    return [
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(left).encode()),
    ]


class PerCallerSemaphore:
    """Counts in this process. Use from the event loop only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._counts: Counter[str] = Counter()

    @property
    def in_use(self) -> int:
        """Of all callers together."""
        return self._counts.total()

    @property
    def callers(self) -> set[str]:
        """Who has one."""
        return set(self._counts)

    @contextmanager
    def hold(self, caller: str, refusal: str, retry_after: int, share: int = 1) -> Iterator[None]:
        """A slot for the block. Raises Problem 429 when ``caller``, who has one of ``share`` equal
        shares of the limit, has none free: the sentence ``refusal``, in which {limit} is how many
        there are.
        """
        limit = -(-self.limit // share)
        with self.acquire(caller, limit) as free:
            if not free:
                raise Problem(429, refusal.format(limit=limit), retry_after=retry_after)
            yield

    @contextmanager
    def acquire(self, caller: str, limit: int | None = None) -> Iterator[bool]:
        """Yields whether ``caller`` had a free slot; it is given back at the end."""
        free = self._counts[caller] < (self.limit if limit is None else limit)
        if free:
            self._counts[caller] += 1
        try:
            yield free
        finally:
            if free:
                self._counts[caller] -= 1
                if not self._counts[caller]:
                    del self._counts[caller]
