"""Large bodies at the same time: beyond what the gateway may hold, the next are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.gateway.middleware import UploadMemoryBudget
from app.gateway.problems import Problem

MB = 2**20


class Request:
    """One that has sent ``sizes`` and then stays."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = list(sizes)
        self.may_end = asyncio.Event()
        self.read = 0

    async def receive(self) -> dict[str, Any]:
        size = self._sizes.pop(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(self._sizes)}

    async def app(self, _scope: object, receive: Callable[[], Any], _send: object) -> None:
        while (await receive())["more_body"]:
            self.read += 1
        await self.may_end.wait()


async def send(_message: object) -> None:
    """Nobody listens."""


def test_bodies_are_counted_together() -> None:
    async def run() -> None:
        requests = [Request(3 * MB, 2 * MB) for _ in range(3)]
        current = iter(requests)
        limit = UploadMemoryBudget(lambda *call: next(current).app(*call), limit=11 * MB)
        first, second, third = (
            asyncio.create_task(limit({"type": "http"}, each.receive, send)) for each in requests
        )
        with pytest.raises(Problem) as caught:
            await third
        assert caught.value.status == 503
        assert caught.value.headers["Retry-After"]
        small = Request(MB // 2)
        small.may_end.set()
        current = iter([small])
        await limit({"type": "http"}, small.receive, send)
        for each in requests:
            each.may_end.set()
        await asyncio.gather(first, second)
        again = Request(5 * MB, 5 * MB)
        again.may_end.set()
        current = iter([again])
        await limit({"type": "http"}, again.receive, send)

    asyncio.run(run())


def test_many_small_bodies_have_an_end_too() -> None:
    async def run() -> list[object]:
        requests = [Request(MB // 2) for _ in range(30)]
        current = iter(requests)
        limit = UploadMemoryBudget(lambda *call: next(current).app(*call), limit=5 * MB)
        calls = [
            asyncio.create_task(limit({"type": "http"}, each.receive, send)) for each in requests
        ]
        await asyncio.sleep(0.05)
        for each in requests:
            each.may_end.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    refused = [end for end in asyncio.run(run()) if isinstance(end, Problem)]
    assert len(refused) == 10
