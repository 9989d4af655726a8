"""Large bodies at the same time: beyond what the gateway may hold, the next are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request as HttpRequest

from app.gateway.middleware import UploadMemoryBudget, name_uploader, release_upload_memory
from app.gateway.problems import Problem

MB = 2**20


class Request:
    """One of ``caller`` that has sent ``sizes`` and then stays."""

    def __init__(self, *sizes: int, caller: str = "") -> None:
        self._sizes, self._caller = list(sizes), caller
        self.may_end = asyncio.Event()
        self.read = 0

    async def receive(self) -> dict[str, Any]:
        size = self._sizes.pop(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(self._sizes)}

    async def app(self, scope: dict[str, Any], receive: Callable[[], Any], _send: object) -> None:
        self.request = HttpRequest(scope)
        if self._caller:
            name_uploader(self.request, self._caller)
        while (await receive())["more_body"]:
            self.read += 1
        await self.may_end.wait()


async def send(_message: object) -> None:
    """Nobody listens."""


def test_bodies_are_counted_together() -> None:
    async def run() -> None:
        requests = [Request(3 * MB, 2 * MB) for _ in range(3)]
        current = iter(requests)
        limit = UploadMemoryBudget(lambda *call: next(current).app(*call), limit=11 * MB, most=32)
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
        limit = UploadMemoryBudget(lambda *call: next(current).app(*call), limit=5 * MB, most=32)
        calls = [
            asyncio.create_task(limit({"type": "http"}, each.receive, send)) for each in requests
        ]
        await asyncio.sleep(0.05)
        for each in requests:
            each.may_end.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    refused = [end for end in asyncio.run(run()) if isinstance(end, Problem)]
    assert len(refused) == 10


def statuses(budget: Callable[[Any], UploadMemoryBudget], *requests: Request) -> list[int]:
    """Of requests that come one after the other and stay; 0 for those that were taken."""

    async def run() -> list[int]:
        current = iter(requests)
        limit = budget(lambda *call: next(current).app(*call))
        calls = []
        for each in requests:
            calls.append(asyncio.create_task(limit({"type": "http"}, each.receive, send)))
            await asyncio.sleep(0.01)
        for each in requests:
            each.may_end.set()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert (limit.left, *limit.held, *limit.large) == (limit.limit,)  # all is given back
        return [end.status if isinstance(end, Problem) else 0 for end in ends]

    return asyncio.run(run())


def test_one_caller_holds_as_much_as_is_left_for_others() -> None:
    def budget(app: Any) -> UploadMemoryBudget:
        return UploadMemoryBudget(app, limit=12 * MB, most=32)

    mine = [Request(2 * MB, caller="me") for _ in range(5)]
    theirs = [Request(2 * MB, caller="they"), Request(MB // 2, caller="me")]
    assert statuses(budget, *mine, *theirs) == [0, 0, 0, 429, 429, 0, 0]


def test_one_caller_sends_so_many_large_bodies() -> None:
    def budget(app: Any) -> UploadMemoryBudget:
        return UploadMemoryBudget(app, limit=1000 * MB, most=2)

    mine = [Request(2 * MB, caller="me") for _ in range(3)]
    others = [Request(MB // 2, caller="me"), Request(2 * MB, caller="they")]
    assert statuses(budget, *mine, *others) == [0, 0, 429, 0, 0]


def test_what_is_not_needed_any_more_does_not_count() -> None:
    async def run() -> None:
        first, second = (Request(8 * MB, caller="me") for _ in range(2))
        current = iter([first, second])
        limit = UploadMemoryBudget(lambda *call: next(current).app(*call), limit=20 * MB, most=1)
        waits = asyncio.create_task(limit({"type": "http"}, first.receive, send))
        await asyncio.sleep(0.01)
        release_upload_memory(first.request)
        second.may_end.set()
        await limit({"type": "http"}, second.receive, send)
        first.may_end.set()
        await waits

    asyncio.run(run())
