"""How processes reach each other: one address of Redis, one meaning, for the job store, its
subscriptions and Celery alike; names on the wire, and Celery's settings as plain data.

Celery carries wake-ups only: a message says that jobs may wait, and a worker that hears it asks the
job store for some. One that is lost costs a second, one too many costs a question.
"""

from __future__ import annotations

import time
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from jobs.errors import StoreError
from jobs.redis_address import RedisAddress


def as_celery(url: str) -> str:
    """A normalized address in Celery's words, which spells sockets, databases and Sentinels
    differently.
    """
    found = RedisAddress.parse(url)
    login = f"{found.login}@" if found.login else ""
    if found.is_sentinel:
        return ";".join(f"sentinel://{login}{host}/{found.database}" for host in found.hosts)
    if found.scheme == "unix":
        return f"redis+socket://{login}{found.path}?virtual_host={found.database}"
    return url


# Left to themselves, clients of Sentinels ask one that is down again and again, for up to a minute,
# before they ask the next.
_ASK_ONCE = Retry(NoBackoff(), 0)
# One for each thread that may ask at the same time, and to spare: a pool that is empty refuses.
_CONNECTIONS = 512


def connect(url: str, timeout: float = 5.0) -> redis.Redis:
    """A client that fails after ``timeout`` seconds instead of hanging."""
    limits: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 2.0),
    }
    found = RedisAddress.parse(url)
    if not found.is_sentinel:
        return redis.Redis.from_url(url, **limits, max_connections=_CONNECTIONS)
    asked = {**found.sentinel_arguments(), "retry": _ASK_ONCE, **limits}
    sentinels = Sentinel(found.pairs, sentinel_kwargs=asked, **limits)
    own = {**found.redis_arguments(), "max_connections": _CONNECTIONS}
    return sentinels.master_for(found.path, **own)


def connect_async(url: str, connect_timeout: float) -> redis.asyncio.Redis:
    """A client of asyncio, for one subscription."""
    limits: dict[str, Any] = {"socket_connect_timeout": connect_timeout}
    found = RedisAddress.parse(url)
    if not found.is_sentinel:
        return redis.asyncio.Redis.from_url(url, **limits)
    once = AsyncRetry(NoBackoff(), 0)
    own = {"socket_timeout": connect_timeout, "retry": once}
    asked = {**found.sentinel_arguments(), **own, **limits}
    sentinels = AsyncSentinel(found.pairs, sentinel_kwargs=asked, **limits)
    return sentinels.master_for(found.path, **found.redis_arguments())


def wait_until_ready(url: str, seconds: float) -> None:
    """Block until the server answers (it may still be reading its append-only file). StoreError
    when it does not, at once where it refuses the login.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            connect(url).ping()
        except redis.RedisError as error:
            refused = isinstance(error, redis.AuthenticationError)
            if refused or time.monotonic() > deadline:
                raise unreachable(error) from error
            time.sleep(0.05)
        else:
            return


def unreachable(error: redis.RedisError) -> StoreError:
    """What ends a process that can do nothing without Redis."""
    why = str(error).rstrip(".")
    return StoreError(f"Redis does not answer: {why}. Is it running, and is MMML_REDIS_URL right?")


QUEUE = "wakeups"
TASK_NAME = "mmml.work"


def wakeups_key(prefix: str) -> str:
    """The Redis list in which Celery keeps the messages; the scripts look at its length."""
    return f"{_celery_prefix(prefix)}{QUEUE}"


def _celery_prefix(prefix: str) -> str:
    return f"{prefix}celery:"


def celery_config(redis_url: str, prefix: str, timeout: float = 30.0) -> dict[str, Any]:
    """Settings of whoever sends or hears wake-ups. ``timeout``: seconds after which a silent broker
    counts as away.

    Late acknowledgement and one message at a time, so that a busy worker leaves them to the others.
    What is taken and not acknowledged is not written to Redis: a wake-up is worth no transaction.
    """
    found = RedisAddress.parse(redis_url)
    limits = {"socket_timeout": timeout, "socket_connect_timeout": 2}
    asked = {**found.sentinel_arguments(), "retry": _ASK_ONCE, **limits}
    sentinel = {"master_name": found.path, "sentinel_kwargs": asked} if found.is_sentinel else {}
    return {
        "broker_url": as_celery(redis_url),
        "broker_use_ssl": (found.is_sentinel and found.tls_arguments()) or False,
        "broker_transport_options": {
            "ack_emulation": False,
            "global_keyprefix": _celery_prefix(prefix),
            "health_check_interval": 10,
            "socket_keepalive": found.scheme != "unix",
            **limits,
            **sentinel,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_default_queue": QUEUE,
        "task_acks_late": True,
        "task_ignore_result": True,
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_soft_shutdown_timeout": 10,
        "worker_enable_remote_control": False,
    }
