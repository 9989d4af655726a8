"""One delivery: a POST without redirects or proxies, bounded in time and bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpcore

from app.webhooks.addresses import AddressPolicy, UnsafeAddress
from app.webhooks.pinned_backend import PinnedBackend

_LONGEST_PAUSE = 24 * 3600.0  # seconds that a receiver may ask for


@dataclass(frozen=True)
class Answer:
    """How a delivery went. ``problem`` is empty when the receiver has it; ``hopeless``: trying
    again is no use; ``pause``: seconds that the receiver asks for.
    """

    problem: str = ""
    hopeless: bool = False
    pause: float = 0.0


class Sender:
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

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Never raises for what the network or the receiver does."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(url, headers, body)
        except UnsafeAddress as error:
            return Answer(f"The address is refused: {error}", hopeless=True)
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(f"The receiver did not answer within {self._timeout:g} s.")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            return Answer("The receiver can't be reached, or speaks no HTTP.")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
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
            return _judged(response)


def _judged(response: httpcore.Response) -> Answer:
    status = response.status
    if 200 <= status < 300:
        return Answer()
    if status == 410:
        return Answer("The receiver answered 410: it wants no more messages.", hopeless=True)
    hint = "; redirects are not followed" if 300 <= status < 400 else ""
    return Answer(f"The receiver answered {status}{hint}.", pause=_pause(response))


def _pause(response: httpcore.Response) -> float:
    given = next((v for name, v in response.headers if name.lower() == b"retry-after"), b"")
    return min(float(given), _LONGEST_PAUSE) if given.isdigit() and len(given) < 10 else 0.0
