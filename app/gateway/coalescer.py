"""Calls that arrive while one is under way share the next: one trip to a thread, one round trip to
the store, however many requests there are. A call that comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Coalescer(Generic[Item, Result]):
    """``function`` is called in a thread with all that waits, ``max_batch`` at a time. It answers
    in the same order; an exception in an answer's place is raised for that one, one that it raises
    for all of them. ``gather_window``: seconds for more to come before a trip, when some have come
    during another already, or ``busy`` says that it changes nothing: then there is much to do, and
    fewer trips are worth more. Use from the event loop only.
    """

    def __init__(
        self,
        function: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        max_batch: int = 64,
        gather_window: float = 0.0,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._function, self._max_batch = function, max_batch
        self._gather_window, self._busy = gather_window, busy
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, getattr(function, "__name__", "grouped"))

    async def __call__(self, item: Item) -> Result:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, answer))
        if self._task is None:  # begins once all who are about to call have called
            self._task = loop.create_task(self._run(loop))
        return await answer

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            some_came = False
            while self._waiting:
                if self._gather_window and (some_came or self._busy()):
                    await asyncio.sleep(self._gather_window)
                count = min(len(self._waiting), self._max_batch)
                group = [self._waiting.popleft() for _ in range(count)]
                _set_results(group, await self._call(loop, [item for item, _ in group]))
                some_came = True
        finally:
            self._task = None

    async def _call(
        self, loop: asyncio.AbstractEventLoop, items: Sequence[Item]
    ) -> Sequence[Result | Exception]:
        try:
            return await loop.run_in_executor(self._thread, self._function, items)
        except Exception as error:
            return [error] * len(items)


def _set_results(
    group: Sequence[tuple[Item, asyncio.Future[Result]]], answers: Sequence[Result | Exception]
) -> None:
    for (_, future), answer in zip(group, answers, strict=True):
        if future.done():  # whoever asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
