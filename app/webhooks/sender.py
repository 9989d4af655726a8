"""One delivery: a POST without redirects or proxies, bounded in time and bytes, to public addresses
only: a name is looked up once, and what was checked is what is connected to.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any

import httpcore

from app.webhooks.addresses import Address, AddressPolicy, UnsafeAddress

Resolve = Callable[[str, int], Awaitable[list[Address]]]
_MAX_ADDRESSES = 3  # addresses of one name


async def resolve(host: str, port: int) -> list[Address]:
    """All addresses of ``host``, in the system's order. Raises OSError when there is none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(place[0]) for *_, place in found]


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Dials for an HTTP client. TLS still names and verifies the host of the URL, since only the
    dialing changes. A name is refused when any of its addresses is not allowed.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        resolve: Resolve = resolve,
        dialer: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy, self._resolve = policy, resolve
        self._dialer = dialer or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        for number, address in enumerate(addresses, 1):
            try:
                return await self._dialer.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            addresses = list(dict.fromkeys(await self._resolve(host, port)))
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        for address in addresses:
            self._policy.check_address(address)
        return addresses[:_MAX_ADDRESSES]


_MAX_RETRY_AFTER = 24 * 3600.0  # seconds that a receiver may ask for


@dataclass(frozen=True)
class DeliveryResult:
    """How a delivery went. ``problem`` is empty when the receiver has it; ``permanent``: trying
    again is no use; ``retry_after``: seconds that the receiver asks for.
    """

    problem: str = ""
    permanent: bool = False
    retry_after: float = 0.0


class WebhookSender:
    """Sends messages to addresses that ``policy`` allows. ``timeout``: seconds for everything from
    the look-up of the name to the status line.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        timeout: float,
        backend: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy, self._timeout = policy, timeout
        self._backend = backend or PinnedBackend(policy)
        self._tls = tls or httpcore.default_ssl_context()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> DeliveryResult:
        """Never raises for what the network or the receiver does."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(url, headers, body)
        except UnsafeAddress as error:
            return DeliveryResult(f"The address is refused: {error}", permanent=True)
        except (TimeoutError, httpcore.TimeoutException):
            return DeliveryResult(f"The receiver did not answer within {self._timeout:g} s.")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            return DeliveryResult("The receiver can't be reached, or speaks no HTTP.")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> DeliveryResult:
        """The body of the answer is never read: its status says all."""
        target = self._policy.check(url)
        address = httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._tls, network_backend=self._backend
            ) as pool,
            pool.stream("POST", address, headers=list(headers.items()), content=body) as response,
        ):
            return _delivery_result(response)


def _delivery_result(response: httpcore.Response) -> DeliveryResult:
    status = response.status
    if 200 <= status < 300:
        return DeliveryResult()
    if status == 410:
        return DeliveryResult(
            "The receiver answered 410: it wants no more messages.", permanent=True
        )
    hint = "; redirects are not followed" if 300 <= status < 400 else ""
    return DeliveryResult(
        f"The receiver answered {status}{hint}.", retry_after=_retry_after(response)
    )


def _retry_after(response: httpcore.Response) -> float:
    """Seconds, which may be given as a date (RFC 9110, section 10.2.3)."""
    given = next((v for name, v in response.headers if name.lower() == b"retry-after"), b"")
    text = given.decode("latin-1")
    try:
        date = None if given.isdigit() else parsedate_to_datetime(text).timestamp()
        seconds = float(text) if date is None else date - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
