"""Connections to public addresses only: a name is looked up once, and what was checked is what is
connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from typing import Any

import httpcore

from app.webhooks.addresses import Address, AddressPolicy

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

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError(f"{path} is no public address")

    async def sleep(self, seconds: float) -> None:
        await self._dialer.sleep(seconds)
