"""uvicorn's protocol with limits, and with bodies for requests that offer an upgrade.

uvicorn limits the silence after an answer, not the time that a request's headers take (slow loris),
and neither their size nor that of the trailers after a chunked body. A request that offers to go on
in another protocol, such as h2c, is an ordinary one for a server that stays with HTTP/1.1 (RFC
9110, section 7.8); its parser would take the body for that protocol's first bytes.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.gateway.problems import Problem

MAX_HEADERS = 64 * 1024  # bytes of a request's line and headers, or of its trailers


class UnreadBudget:
    """What the clients of all connections have not read yet, in bytes; beyond ``limit`` those that
    have stood still for longest lose their connection.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._total = limit, 0
        self._sizes: dict[TimedHttpProtocol, int] = {}  # longest first

    def add(self, line: TimedHttpProtocol, size: int) -> None:
        self.remove(line)
        self._sizes[line] = size
        self._total += size
        for longest in list(self._sizes) if self._total > self._limit else ():
            self.remove(longest)
            longest.transport.abort()
            if self._total <= self._limit:
                break

    def remove(self, line: TimedHttpProtocol) -> None:
        self._total -= self._sizes.pop(line, 0)


class TimedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose next request has not shown all its headers in time, or whose
    headers are too large, or whose client reads nothing of its answer.
    """

    header_timeout = 10.0  # seconds
    write_timeout = 30.0  # seconds
    unread = UnreadBudget(256 * 1024 * 1024)
    _write_timer: asyncio.TimerHandle | None = None
    _header_timer: asyncio.TimerHandle | None = None
    _head_again = False  # the parser reads a head once more, which the application has
    _idle_bytes = 0  # since the request last got on: all that may be is headers or trailers

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_header_timer()

    def data_received(self, data: bytes) -> None:
        # Between two requests: even bytes that begin none (empty lines) start the clock.
        if self.cycle is not None and self.cycle.response_complete:
            self._start_header_timer()
        self._idle_bytes += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._idle_bytes > MAX_HEADERS and not self.transport.is_closing():
            self._too_large()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])

    def _stay(self, rest: bytes) -> None:
        """Go on as if no upgrade had been offered, with what follows the headers."""
        version = self.scope["http_version"].encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._head_again = True
        self._feed(b"\r\n".join([*lines, b"", b""]))
        self._head_again = False
        if rest and not self.transport.is_closing():
            self._feed(rest)

    def on_message_begin(self) -> None:
        if not self._head_again:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._head_again:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_again:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._head_again:
            return
        self._cancel_header_timer()
        self._idle_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = 0
        if not self.parser.should_upgrade():  # its body is still to come
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        size = self.transport.get_write_buffer_size()
        self._watch_reader(size)
        self.unread.add(self, size)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()
        self.unread.remove(self)

    def _watch_reader(self, unread: int) -> None:
        self._stop_watching()
        self._write_timer = self.loop.call_later(self.write_timeout, self._check_reader, unread)

    def _stop_watching(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _check_reader(self, unread: int) -> None:
        """Whether anything of ``unread`` bytes has been taken meanwhile."""
        left = self.transport.get_write_buffer_size()
        if left >= unread:
            self.transport.abort()
        else:
            self._watch_reader(left)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_header_timer()
        self._stop_watching()
        self.unread.remove(self)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (in uvicorn's words)
        self._respond_and_close(
            Problem(400, "This is no valid HTTP request. Send it with an HTTP library.")
        )

    def _too_large(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:  # nothing can be put into the middle of that answer
            self.transport.close()
        else:
            kilobytes = MAX_HEADERS // 1024
            detail = f"The request's headers are larger than {kilobytes} kB. Send less in them."
            self._respond_and_close(Problem(431, detail))

    def _respond_and_close(self, problem: Problem) -> None:
        """Answer without any request to answer to, and close the connection."""
        problem.headers["Connection"] = "close"
        response = problem.response("")
        phrase = HTTPStatus(problem.status).phrase.encode()
        lines = [b"HTTP/1.1 %d %s" % (problem.status, phrase)]
        lines += [b"%s: %s" % header for header in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()

    def _start_header_timer(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_timeout, self._on_header_timeout)

    def _cancel_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_header_timeout(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self.transport.close()
