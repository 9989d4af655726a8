"""Counting requests and pictures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from app.gateway.problems import Problem
from app.gateway.rate_limits import Policy, RateLimiter, rate_limit_headers
from jobs.connections import connect
from jobs.errors import StoreError


@pytest.fixture
def limits(redis_client: redis.Redis, prefix: str) -> RateLimiter:
    return RateLimiter(redis_client, prefix)


def test_a_window_has_room_for_its_amount(limits: RateLimiter) -> None:
    policy = Policy.parse("submit", "3/minute")
    standings = [limits.hit(policy, "me") for _ in range(4)]
    assert [s.allowed for s in standings] == [True, True, True, False]
    assert [s.remaining for s in standings] == [2, 1, 0, 0]
    assert all(1 <= s.reset <= 60 for s in standings)
    assert limits.hit(policy, "you").allowed
    assert limits.hit(Policy.parse("read", "3/minute"), "me").allowed


def test_the_window_moves(
    limits: RateLimiter, eventually: Callable[[Callable[[], bool], float], None]
) -> None:
    policy = Policy.parse("submit", "2/second")
    assert limits.hit(policy, "me").allowed
    assert limits.hit(policy, "me").allowed
    eventually(lambda: limits.hit(policy, "me").allowed, 10)


def test_a_refused_purchase_costs_nothing(limits: RateLimiter) -> None:
    policy = Policy.parse("pictures", "10/day")
    assert limits.charge(policy, "me", 8).remaining == 2
    refused = limits.charge(policy, "me", 4)
    assert (refused.allowed, refused.remaining) == (False, 2)
    assert limits.charge(policy, "me", 2).allowed
    assert not limits.charge(policy, "me", 1).allowed


def test_headers_name_policies_and_what_is_left(limits: RateLimiter) -> None:
    first = limits.hit(Policy.parse("submit", "3/minute"), "me")
    second = limits.charge(Policy.parse("pictures", "10/day"), "me", 4)
    found = dict(rate_limit_headers([first, second]))
    assert found[b"ratelimit-policy"] == b'"submit";q=3;w=60, "pictures";q=10;w=86400'
    left = found[b"ratelimit"].decode()
    assert left.startswith('"submit";r=2;t=')
    assert '"pictures";r=6;t=' in left
    assert rate_limit_headers([]) == []


def test_a_refusal_says_when_to_come_back(limits: RateLimiter) -> None:
    policy = Policy.parse("submit", "1/minute")
    limits.hit(policy, "me").require("Too many.")
    standing = limits.hit(policy, "me")
    with pytest.raises(Problem, match=r"^Too many\. Try again in \d+ s\.$") as refusal:
        standing.require("Too many.")
    problem = refusal.value
    assert problem.status == 429
    assert problem.headers["Retry-After"] == str(standing.reset)
    assert problem.extra["violated-policies"] == ["submit"]


def test_words_that_are_no_rate() -> None:
    with pytest.raises(ValueError, match="rate limit"):
        Policy.parse("submit", "often")


def test_an_absent_server_is_a_store_error() -> None:
    limits = RateLimiter(connect("redis://127.0.0.1:1/0", 0.2))
    with pytest.raises(StoreError):
        limits.hit(Policy.parse("submit", "3/minute"), "me")
