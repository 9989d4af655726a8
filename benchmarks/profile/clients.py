"""Clients that cost little themselves: raw HTTP on connections that are kept, each sending its next
request when the one before is answered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Load:
    """What the clients saw, in milliseconds: each request, what it took beside the model, and how
    long after the end of the job its answer arrived.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def hear(self, job: dict[str, Any], now: float) -> None:
        """A finished job, as of the answer to the last request."""
        ended = datetime.fromisoformat(job["finished_at"]).timestamp()
        self.overheads.append(self.latencies[-1] - job["timings"]["model_ms"])
        self.wakes.append((now - ended) * 1000)


def quantile(row: Sequence[float], share: float) -> float:
    """0 for an empty row."""
    ordered = sorted(row)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Connection:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """(status, body) of the answer."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.lower().split(b"\r\n")
        length = next(int(x[15:]) for x in lines if x.startswith(b"content-length:"))
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def body(seed: int, text: str) -> bytes:
    return json.dumps({"text": text, "seed": seed}).encode()


async def closed_loop(port: int, clients: int, seconds: float, path: str, text: str) -> Load:
    """``clients`` at a time for ``seconds``, all with the same text."""
    load = Load()
    started = time.perf_counter()
    end = started + seconds
    await asyncio.gather(*(_client(port, n, end, path, text, load) for n in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def _client(port: int, number: int, end: float, path: str, text: str, load: Load) -> None:
    line = await Connection.to(port)
    seed = number * 1_000_000
    while time.perf_counter() < end:
        seed += 1
        started = time.perf_counter()
        status, answer = await line.ask("POST", path, body(seed, text))
        load.latencies.append((time.perf_counter() - started) * 1000)
        if status == 200:
            load.hear(json.loads(answer), time.time())
        elif status != 202:
            raise RuntimeError(f"{status}: {answer[:300]!r}")
    line.close()
