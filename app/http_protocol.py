"""Requests whose headers never come to an end (slow loris): uvicorn's protocol with a time limit.

uvicorn limits the silence after an answer, not the time that a request's headers take.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def limited(seconds: float) -> type[asyncio.Protocol]:
    """The protocol class for ``uvicorn.Config(http=…)``."""
    return type("LimitedHttp", (TimedHttp,), {"header_timeout": seconds})


class TimedHttp(HttpToolsProtocol):
    """Closes a connection whose next request has not shown all its headers in time."""

    header_timeout = 10.0  # seconds
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        # Between two requests: even bytes that begin none (empty lines) start the clock.
        if self.cycle is not None and self.cycle.response_complete:
            self._expect()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._settle()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.header_timeout, self._give_up)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()
