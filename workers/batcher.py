"""One thread that runs the networks, on as many pictures at once as are waiting.

It takes one picture, drains those waiting for the same pipeline, and waits a moment for more only
when other jobs are being prepared. A picture that makes a batch fail is found by bisection and
fails alone; out of memory halves the batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from workers.failures import is_fatal, is_out_of_memory

if TYPE_CHECKING:
    from models.pipeline import Pipeline

log = logging.getLogger(__name__)
_WORTH_A_TRIP = 8  # pictures


@dataclass(frozen=True)
class Forwarded:
    """One picture's raw output; seconds that its batch took; batch: a number that pictures of one
    batch share; batch_size: how many were drawn in it.
    """

    pixels: Any
    seconds: float
    batch: int
    batch_size: int


@dataclass(frozen=True)
class _Unit:
    pipeline: Pipeline[Any]
    prepared: Any
    alone: bool
    owner: str
    drawn: int = 1  # pictures that the networks draw for it
    future: Future[Forwarded] = field(default_factory=Future)


class _Line:
    """Pictures that wait. Owners take turns, each with its own pictures in their order."""

    def __init__(self) -> None:
        self._by_owner: OrderedDict[str, deque[_Unit]] = OrderedDict()
        self._count = 0
        self.drawn = 0  # pictures that the networks will draw for all of them

    def __len__(self) -> int:
        return self._count

    def append(self, unit: _Unit) -> None:
        self._by_owner.setdefault(unit.owner, deque()).append(unit)
        self._count += 1
        self.drawn += unit.drawn

    def next(self) -> _Unit:
        """The first picture of the owner whose turn it is."""
        return self._pop(next(iter(self._by_owner)))

    def take(self, pipeline: Pipeline[Any], room: int) -> list[_Unit]:
        """More for the same batch, that draws no more than ``room`` pictures for them: of each
        owner in turn those that come next for that pipeline; the others keep their place.
        """
        taken: list[_Unit] = []
        owners = deque(self._by_owner)
        while owners and room > 0:
            owner = owners.popleft()
            unit = self._fitting(owner, pipeline, room)
            if unit:
                taken.append(unit)
                room -= unit.drawn
                owners.append(owner)
        return taken

    def _fitting(self, owner: str, pipeline: Pipeline[Any], room: int) -> _Unit | None:
        for place, unit in enumerate(self._by_owner.get(owner, ())):
            if unit.pipeline is pipeline and not unit.alone and unit.drawn <= room:
                return self._pop(owner, place)
        return None

    def _pop(self, owner: str, place: int = 0) -> _Unit:
        line = self._by_owner.pop(owner)
        unit = line[place]
        del line[place]
        if line:
            self._by_owner[owner] = line  # behind the others
        self._count -= 1
        self.drawn -= unit.drawn
        return unit


class Batcher:
    """Start with :meth:`start`; ``on_fatal`` is called when the device is beyond repair,
    ``on_taken`` when pictures have left the line.
    """

    def __init__(
        self,
        max_batch: int,
        max_delay: float,
        on_fatal: Callable[[BaseException], None],
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._max_batch, self._max_delay, self._on_fatal = max_batch, max_delay, on_fatal
        self._on_taken = on_taken
        self._line = _Line()
        self._best = max_batch
        self._ready = threading.Condition()
        self._coming = 0
        self._stopped = False
        self._numbers = count(1)
        self._thread = threading.Thread(target=self._loop, name="networks", daemon=True)
        self.busy_since: float | None = None  # of the forward pass that runs
        self.progress_at = time.monotonic()  # the end of the last one
        self.last_batch_at: float | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()
        self._thread.join()

    def expect(self, pictures: int) -> None:
        """So many are about to be prepared: a batch may wait for them."""
        with self._ready:
            self._coming += pictures

    def arrived(self, pictures: int) -> None:
        """So many of those expected are in line, or will not come."""
        with self._ready:
            self._coming -= pictures
            if not self._coming:  # only then is there nothing more to wait for
                self._ready.notify_all()

    def submit(
        self,
        pipeline: Pipeline[Any],
        prepared: Any,
        alone: bool = False,
        drawn: int = 1,
        owner: str = "",
    ) -> Future[Forwarded]:
        """Queue one picture, of which ``drawn`` candidates are drawn; the future holds its output
        or the exception that it caused by itself. Owners take turns.
        """
        unit = _Unit(pipeline, prepared, alone, owner, drawn)
        with self._ready:
            self._line.append(unit)
            # Of several in a row the thread need see only the first, to start its clock: whoever
            # prepares more wakes it when done.
            count = len(self._line)
            if count == 1 or count >= self._max_batch or not self._coming:
                self._ready.notify_all()
        return unit.future

    def depth(self) -> int:
        """Pictures to be drawn for those in line."""
        return self._line.drawn

    def room(self) -> int:
        """How many more pictures are worth having, so that the networks never wait: with those in
        line and expected two of the batches that pay. While one of these is in line, so few more
        are not worth a trip that the next batch to be taken makes room for many: then 0.
        """
        room = 2 * self._best - self._line.drawn - self._coming
        few = room < min(_WORTH_A_TRIP, self._best)
        return 0 if few and self._line.drawn >= self._best else max(room, 0)

    def short(self) -> bool:
        """Whether those in line and expected are less than a batch."""
        return self._line.drawn + self._coming < self._best

    def _loop(self) -> None:
        try:
            while units := self._take():
                self._batch([u for u in units if u.future.set_running_or_notify_cancel()])
        except BaseException as error:  # a fault of ours: without this thread nothing moves
            log.critical("the thread of the networks has ended", exc_info=error)
            self._on_fatal(error)

    def _batch(self, units: Sequence[_Unit]) -> None:
        self._on_taken()
        self.busy_since = time.monotonic()
        try:
            if units:
                self._run(units)
        finally:
            self.busy_since, self.last_batch_at = None, time.time()
            self.progress_at = time.monotonic()

    def _take(self) -> list[_Unit]:
        """The next batch; empty when stopped and nothing waits."""
        with self._ready:
            while not self._line:
                if self._stopped:
                    return []
                self._ready.wait()
            first = self._line.next()
            units = [first]
            if first.alone:
                return units
            self._best = self._most(first)
            deadline = time.monotonic() + self._max_delay
            while True:
                units += self._line.take(first.pipeline, self._best - _drawn(units))
                left = deadline - time.monotonic()
                if _drawn(units) >= self._best or not self._coming or left <= 0:
                    return units
                self._ready.wait(left)

    def _most(self, unit: _Unit) -> int:
        """How many pictures may share this one's forward pass: no more than pay."""
        return min(self._max_batch, unit.pipeline.best_batch or self._max_batch)

    def _run(self, units: Sequence[_Unit]) -> None:
        self.busy_since = time.monotonic()  # each part of a batch that is halved is progress
        started = time.perf_counter()
        try:
            outputs = units[0].pipeline.forward([u.prepared for u in units])
        except Exception as error:
            self._fail(units, error)
            return
        seconds, number = time.perf_counter() - started, next(self._numbers)
        for unit, pixels in zip(units, outputs, strict=True):
            unit.future.set_result(Forwarded(pixels, seconds, number, _drawn(units)))

    def _fail(self, units: Sequence[_Unit], error: Exception) -> None:
        """Narrow a failure down to the pictures that cause it."""
        if is_fatal(error):
            self._on_fatal(error)
        if len(units) == 1:
            log.warning("a picture failed: %s", error, exc_info=error)
            units[0].future.set_exception(error)
            return
        if is_out_of_memory(error):
            log.warning("out of memory with %d pictures; halving the batch", len(units))
            units[0].pipeline.free_memory()
        middle = len(units) // 2
        self._run(units[:middle])
        self._run(units[middle:])


def _drawn(units: Sequence[_Unit]) -> int:
    return sum(unit.drawn for unit in units)
