"""Connections that follow no library: requests byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def head(method: str, path: str, key: str = "", **headers: str) -> bytes:
    """The request line and headers; names of headers are written with ``_`` for ``-``."""
    given = {"Host": "127.0.0.1", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if key:
        given["Authorization"] = f"Bearer {key}"
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@contextlib.asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def heard(reader: asyncio.StreamReader, seconds: float = 60.0) -> bytes:
    """Everything until the server hangs up; what there was when it did not."""
    data = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65536):
                data += piece
    return data


async def poured(writer: asyncio.StreamWriter, pieces: Iterator[bytes]) -> int:
    """How many bytes the server took before it hung up."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            if writer.transport.is_closing():
                break
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 60)
            sent += len(piece)
    return sent


async def dripped(port: int, start: bytes, drop: bytes, seconds: float) -> tuple[float, bytes]:
    """Send ``start``, then ``drop`` again and again; after how many seconds the server hung up, and
    what it said.
    """
    started = time.monotonic()
    async with line(port) as (reader, writer):
        writer.write(start)
        reported = asyncio.create_task(heard(reader, seconds))
        while not reported.done():
            with contextlib.suppress(ConnectionError):
                writer.write(drop)
            await asyncio.wait([reported], timeout=0.5)
        return time.monotonic() - started, reported.result()
