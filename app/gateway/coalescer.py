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
Answer = TypeVar("Answer")


class Grouped(Generic[Item, Answer]):
    """``work`` is called in a thread with all that waits, ``most`` at a time. It answers in the
    same order; an exception in an answer's place is raised for that one, one that it raises for
    all of them. ``gather``: seconds for more to come before a trip, when some have come during
    another already, or as often as ``patience`` says that it changes nothing: then there is much
    to do, and fewer trips are worth more. Use from the event loop only.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        most: int = 64,
        gather: float = 0.0,
        patience: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._work, self._most, self._gather, self._patience = work, most, gather, patience
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, getattr(work, "__name__", "grouped"))

    async def __call__(self, item: Item) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if self._task is None:  # begins once all who are about to call have called
            self._task = loop.create_task(self._run(loop))
        return await answer

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            some_came = False
            while self._waiting:
                if moments := self._gather and max(float(some_came), self._patience()):
                    await asyncio.sleep(moments * self._gather)
                count = min(len(self._waiting), self._most)
                group = [self._waiting.popleft() for _ in range(count)]
                _hand_out(group, await self._answers(loop, [item for item, _ in group]))
                some_came = True
        finally:
            self._task = None

    async def _answers(
        self, loop: asyncio.AbstractEventLoop, items: Sequence[Item]
    ) -> Sequence[Answer | Exception]:
        try:
            return await loop.run_in_executor(self._thread, self._work, items)
        except Exception as error:
            return [error] * len(items)


def _hand_out(
    group: Sequence[tuple[Item, asyncio.Future[Answer]]], answers: Sequence[Answer | Exception]
) -> None:
    for (_, future), answer in zip(group, answers, strict=True):
        if future.done():  # whoever asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
