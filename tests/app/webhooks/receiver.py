"""A client's server that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from app.webhooks.addresses import AddressPolicy

HERE = AddressPolicy(True, (), (ip_network("127.0.0.0/8"),))
Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answering(status: int, *headers: str) -> Respond:
    """A plain answer."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", "content-length: 0", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())

    return respond


@dataclass
class Message:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers by ``script``, its last entry for ever."""

    script: list[Respond] = field(default_factory=lambda: [answering(200)])
    tls: ssl.SSLContext | None = None
    got: list[Message] = field(default_factory=list)
    port: int = 0

    def url(self, path: str = "/hook?x=1") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [line.split(": ", 1) for line in head[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.got.append(Message(head[0], headers, body))
        respond = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await respond(writer)
        await writer.drain()

    @contextlib.asynccontextmanager
    async def _listening(self) -> Any:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[Receiver]:
        """In a thread of its own."""
        started, loop = threading.Event(), asyncio.new_event_loop()
        stop = asyncio.Event()

        async def main() -> None:
            async with self._listening():
                started.set()
                await stop.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:  # type: ignore[operator]
                task.cancel()
                await asyncio.wait([task])
            await asyncio.sleep(0.01)  # transports close in the next turn of the loop

        thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
        thread.start()
        started.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()
