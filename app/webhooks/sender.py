"""One delivery: a POST without redirects or proxies, bounded in time and bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpcore

from app.webhooks.addresses import AddressPolicy, UnsafeAddress
from app.webhooks.pinned_backend import PinnedBackend

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
    given = next((v for name, v in response.headers if name.lower() == b"retry-after"), b"")
    return min(float(given), _MAX_RETRY_AFTER) if given.isdigit() and len(given) < 10 else 0.0
