"""Requests whose headers never come to an end, in time (slow loris) or in size: uvicorn's protocol
with limits.

uvicorn limits the silence after an answer, not the time that a request's headers take, and neither
their size nor that of the trailers after a chunked body.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.problems import Problem

MAX_HEADERS = 64 * 1024  # bytes of a request's line and headers, or of its trailers


def limited(seconds: float) -> type[asyncio.Protocol]:
    """The protocol class for ``uvicorn.Config(http=…)``."""
    return type("LimitedHttp", (TimedHttp,), {"header_timeout": seconds})


class TimedHttp(HttpToolsProtocol):
    """Closes a connection whose next request has not shown all its headers in time, or whose
    headers are too large.
    """

    header_timeout = 10.0  # seconds
    _timer: asyncio.TimerHandle | None = None
    _idle_bytes = 0  # since the request last got on: all that may be is headers or trailers

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        # Between two requests: even bytes that begin none (empty lines) start the clock.
        if self.cycle is not None and self.cycle.response_complete:
            self._expect()
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > MAX_HEADERS and not self.transport.is_closing():
            self._too_large()

    def on_headers_complete(self) -> None:
        self._settle()
        self._idle_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (in uvicorn's words)
        self._hang_up(Problem(400, "This is no valid HTTP request. Send it with an HTTP library."))

    def _too_large(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:  # nothing can be put into the middle of that answer
            self.transport.close()
        else:
            kilobytes = MAX_HEADERS // 1024
            detail = f"The request's headers are larger than {kilobytes} kB. Send less in them."
            self._hang_up(Problem(431, detail))

    def _hang_up(self, problem: Problem) -> None:
        """Answer without any request to answer to, and close the connection."""
        problem.headers["Connection"] = "close"
        response = problem.response("")
        phrase = HTTPStatus(problem.status).phrase.encode()
        lines = [b"HTTP/1.1 %d %s" % (problem.status, phrase)]
        lines += [b"%s: %s" % header for header in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()

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
