"""How processes reach each other: one address of Redis, one meaning, for the job store, its
subscriptions and Celery alike; names on the wire, and Celery's settings as plain data.

Each library reads some spellings of an address, and ignores in silence what it does not know; so an
address is brought into one form first, and what that can't say is refused. Celery carries wake-ups
only: a message says that jobs may wait, and a worker that hears it asks the job store for some. One
that is lost costs a second, one too many costs a question.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

import redis

_SCHEMES = {
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
    "unix": "unix",
    "redis+socket": "unix",
    "redis+unix": "unix",
}
_DATABASE = ("db", "virtual_host")
_TLS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_CERTIFICATES = ("required", "optional", "none")
_HELP = "Write redis://USER:PASSWORD@HOST:PORT/DB, rediss:// for TLS, or unix:///PATH?db=DB."


def normalized(url: str) -> str:
    """The address as redis-py reads it. Raises ValueError, with a sentence."""
    if "#" in url:
        raise ValueError("a # in a user name or password is written %23")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"this is no address of Redis. {_HELP}") from error
    if parts.scheme not in _SCHEMES:
        given = f"{parts.scheme}:// is not served" if "://" in url else "the scheme is missing"
        server = (
            "the master, or a proxy that follows it" if "sentinel" in parts.scheme else "one server"
        )
        raise ValueError(f"{given}; name {server}. {_HELP}")
    scheme, query = _SCHEMES[parts.scheme], dict(parse_qsl(parts.query))
    database = _database(scheme, parts, query)
    if unknown := [name for name in query if scheme != "rediss" or name not in _TLS]:
        raise ValueError(f"the option {unknown[0]!r} is not served with {scheme}://. {_HELP}")
    options = _tls_options(query) if scheme == "rediss" else {}
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    if scheme == "unix":
        return f"unix://{login}{parts.path}?db={database}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    tail = f"?{urlencode(options)}" if options else ""
    return f"{scheme}://{login}{host or '127.0.0.1'}:{port or 6379}/{database}{tail}"


def with_password(url: str, password: str) -> str:
    """The address with a password, unless it has one."""
    scheme, rest = url.split("://", 1)
    login, at, place = rest.rpartition("@")
    if ":" in login or not password:
        return url
    return f"{scheme}://{login}:{quote(password, safe='')}@{place if at else rest}"


def _database(scheme: str, parts: SplitResult, query: dict[str, str]) -> int:
    """The number, from the path or from the option that names it; 0 when there is none."""
    if scheme == "unix" and (parts.hostname or not parts.path):
        raise ValueError("a socket's path is absolute: unix:///PATH, with three slashes")
    named = [query.pop(name) for name in _DATABASE if name in query]
    path = "" if scheme == "unix" else parts.path.strip("/")
    given = {value for value in (*named, path) if value}
    if len(given) > 1 or not all(value.isascii() and value.isdigit() for value in given):
        raise ValueError(f"the database must be one whole number, and is {' or '.join(given)!r}")
    return int(given.pop()) if given else 0


def _tls_options(query: dict[str, str]) -> dict[str, str]:
    """Certificates are checked unless the address says otherwise."""
    wanted = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if wanted not in _CERTIFICATES:
        raise ValueError(f"ssl_cert_reqs must be one of {', '.join(_CERTIFICATES)}")
    checked = query.get("ssl_check_hostname", "true" if wanted == "required" else "false").lower()
    if checked not in ("true", "false"):
        raise ValueError("ssl_check_hostname must be true or false")
    return {**query, "ssl_cert_reqs": wanted, "ssl_check_hostname": checked}


def as_celery(url: str) -> str:
    """A normalized address in Celery's words, which spells sockets and databases differently."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    return (
        f"redis+socket://{parts.netloc}{parts.path}?virtual_host={parts.query.removeprefix('db=')}"
    )


# One for each thread that may ask at the same time, and to spare: a pool that is empty refuses.
_CONNECTIONS = 512


def connect(url: str, timeout: float = 5.0) -> redis.Redis:
    """A client that fails after ``timeout`` seconds instead of hanging."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 2.0),
        max_connections=_CONNECTIONS,
    )


def wait_until_ready(url: str, seconds: float) -> None:
    """Block until the server answers (it may still be reading its append-only file)."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connect(url).ping()
        except redis.RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


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
    return {
        "broker_url": as_celery(redis_url),
        "broker_transport_options": {
            "ack_emulation": False,
            "global_keyprefix": _celery_prefix(prefix),
            "health_check_interval": 10,
            "socket_keepalive": urlsplit(redis_url).scheme != "unix",
            "socket_timeout": timeout,
            "socket_connect_timeout": 2,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_default_queue": QUEUE,
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_soft_shutdown_timeout": 10,
        "worker_enable_remote_control": False,
    }
