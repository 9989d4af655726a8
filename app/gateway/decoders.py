"""Where pictures are decoded: in few threads, as each may take much memory. Callers take turns, so
that nobody waits for all that somebody else has sent; small pictures have places of their own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

QUICK_BYTES = 2 * 2**20  # of uploads that are handled in milliseconds
QUICK_PIXELS = 2_000_000
T = TypeVar("T")


class Turns:
    """So many places, taken by callers in turn: whoever waits with one thing goes before those who
    have had theirs, however many more they wait with. Use from the event loop only.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """A place of ``caller``'s for the block."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, caller: str) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it came at the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            caller, turns = self._waiting.popitem(last=False)
            first = turns.popleft()
            if turns:
                self._waiting[caller] = turns
            if not first.done():  # those who have gone away are passed over
                first.set_result(None)
                return
        self._free += 1


class Decoders:
    """``places`` for large pictures, as many again for small ones. ``limiter`` and ``quick`` hold
    the threads.
    """

    def __init__(self, places: int) -> None:
        self.limiter, self.quick = CapacityLimiter(places), CapacityLimiter(places)
        self._turns, self._quick_turns = Turns(places), Turns(places)

    async def run(self, caller: str, function: Callable[[], T], *, quick: bool = False) -> T:
        """What ``function`` returns, called in a thread when it is ``caller``'s turn. ``quick``:
        that takes milliseconds and little memory.
        """
        turns, limiter = (self._quick_turns, self.quick) if quick else (self._turns, self.limiter)
        async with turns.turn(caller):
            return await to_thread.run_sync(function, limiter=limiter)
