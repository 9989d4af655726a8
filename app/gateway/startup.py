"""What depends on the address that the gateway listens on, and how patient its server is."""

from __future__ import annotations

import contextlib
import resource
from ipaddress import ip_address
from typing import Any

import redis

from app.gateway.api_keys import KeyStore
from app.gateway.auth import AccessError, ensure_keys
from app.gateway.protocol import timed_protocol
from app.settings import GatewaySettings
from jobs.connections import connect, wait_until_ready
from jobs.errors import StoreError

_OPEN_FILES = 65_536
_BROKER_TIMEOUT = 30.0  # seconds for which a broker that still starts is waited for


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_keys_unless_loopback(settings: GatewaySettings, host: str) -> GatewaySettings:
    """The settings, with API keys required where others than this machine can reach the service."""
    if is_loopback(host):
        return settings
    return settings.model_copy(update={"require_keys": True})


def check_access(settings: GatewaySettings, broker_timeout: float = _BROKER_TIMEOUT) -> None:
    """Let the first key in, once the broker answers. AccessError when keys are required and there
    is none, or when that can't be found out within ``broker_timeout`` seconds.
    """
    if not settings.require_keys and not settings.first_key:
        return
    client = connect(settings.redis_url)
    try:
        wait_until_ready(settings.redis_url, broker_timeout)
        ensure_keys(KeyStore(client, settings.redis_prefix), settings)
    except (redis.RedisError, StoreError) as error:
        raise AccessError(
            f"The API keys can't be read, because Redis does not answer: {error}. Is it running, "
            "and is MMML_REDIS_URL right?"
        ) from error
    finally:
        client.close()


def raise_open_file_limit() -> None:
    """Raise the number of open files as far as the system lets this process, within reason: each
    client is one.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def uvicorn_limits(settings: GatewaySettings) -> dict[str, Any]:
    """Keyword arguments for ``uvicorn.Config`` that keep hostile clients bounded."""
    return {
        "http": timed_protocol(settings.header_timeout, settings.write_timeout),
        "ws": "none",
        "server_header": False,
        "timeout_keep_alive": 5,
    }
