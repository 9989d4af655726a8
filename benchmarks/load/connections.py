"""A lean HTTP/1.1 client: prepared bytes out, status and body back.

The generator shares the cores with what it measures, so it must cost little: a general client
takes longer for a request than the servers do. Parsing is httptools', the loop uvloop's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httptools


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes


class Line(asyncio.Protocol):
    """One connection; one request at a time. ``usable``: it can take the next one."""

    def __init__(self) -> None:
        self.usable = False
        self._parts: list[bytes] = []
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if self._answer and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed without an answer"))

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """The answer to a whole request, once it is there. Raises ConnectionError."""
        self._parser = httptools.HttpResponseParser(self)
        self._parts.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self.usable = self._parser.should_keep_alive()
        assert self._answer  # nothing is parsed before something was asked
        if not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), b"".join(self._parts)))
        if not self.usable:
            self.close()

    def close(self) -> None:
        self._transport.close()


class Server:
    """The server at ``url``, over as many connections as there are requests at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._idle: list[Line] = []

    async def post(self, path: str, body: Mapping[str, Any], accept: str = "*/*") -> Answer:
        data = json.dumps(body).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        return await self._ask(f"POST {path} HTTP/1.1\r\n{head}", accept, data)

    async def get(self, path: str, accept: str = "*/*") -> Answer:
        return await self._ask(f"GET {path} HTTP/1.1\r\n", accept, b"")

    def close(self) -> None:
        """Close the connections that wait for a request."""
        for line in self._idle:
            line.close()

    async def _ask(self, head: str, accept: str, data: bytes) -> Answer:
        text = f"{head}Host: {self._host}:{self._port}\r\nAccept: {accept}\r\n\r\n"
        line = await self._line()
        answer = await line.ask(text.encode() + data)
        if line.usable:
            self._idle.append(line)
        return answer

    async def _line(self) -> Line:
        while self._idle:
            line = self._idle.pop()
            if line.usable:
                return line
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Line, self._host, self._port))[1]
