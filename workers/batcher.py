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
from typing import TYPE_CHECKING, Any, TypeVar

from workers import metrics
from workers.failures import is_fatal, is_out_of_memory

if TYPE_CHECKING:
    from models.pipeline import Pipeline

log = logging.getLogger(__name__)
T = TypeVar("T")
_WORTH_A_TRIP = 8  # pictures


@dataclass(frozen=True)
class ForwardResult:
    """One picture's raw output; seconds that its batch took; batch: a number that pictures of one
    batch share; batch_size: how many were drawn in it; ended: when, in seconds since 1970.
    """

    pixels: Any
    seconds: float
    batch: int
    batch_size: int
    ended: float


@dataclass(frozen=True)
class _QueuedItem:
    pipeline: Pipeline[Any]
    prepared: Any
    run_alone: bool
    owner: str
    pictures: int = 1  # pictures that the networks draw for it
    future: Future[ForwardResult] = field(default_factory=Future)


class _FairQueue:
    """Pictures that wait. Owners take turns, each with its own pictures in their order."""

    def __init__(self) -> None:
        self._by_owner: OrderedDict[str, deque[_QueuedItem]] = OrderedDict()
        self._count = 0
        self.pictures = 0  # pictures that the networks will draw for all of them

    def __len__(self) -> int:
        return self._count

    def append(self, unit: _QueuedItem) -> None:
        self._by_owner.setdefault(unit.owner, deque()).append(unit)
        self._count += 1
        self.pictures += unit.pictures

    def pop_next(self) -> _QueuedItem:
        return self._pop(next(iter(self._by_owner)))

    def pop_matching(self, pipeline: Pipeline[Any], room: int) -> list[_QueuedItem]:
        """More for the same batch, that draws no more than ``room`` pictures for them: of each
        owner in turn those that come next for that pipeline; the others keep their place.
        """
        matching: list[_QueuedItem] = []
        owners = deque(self._by_owner)
        while owners and room > 0:
            owner = owners.popleft()
            unit = self._pop_fitting(owner, pipeline, room)
            if unit:
                matching.append(unit)
                room -= unit.pictures
                owners.append(owner)
        return matching

    def _pop_fitting(self, owner: str, pipeline: Pipeline[Any], room: int) -> _QueuedItem | None:
        for place, unit in enumerate(self._by_owner.get(owner, ())):
            if unit.pipeline is pipeline and not unit.run_alone and unit.pictures <= room:
                return self._pop(owner, place)
        return None

    def _pop(self, owner: str, index: int = 0) -> _QueuedItem:
        line = self._by_owner.pop(owner)
        unit = line[index]
        del line[index]
        if line:
            self._by_owner[owner] = line  # behind the others
        self._count -= 1
        self.pictures -= unit.pictures
        return unit


class Batcher:
    """Start with :meth:`start`; ``on_fatal`` is called when the device is beyond repair,
    ``on_dequeued`` when pictures have left the line, or come later.
    """

    def __init__(
        self,
        max_batch: int,
        max_delay: float,
        on_fatal: Callable[[BaseException], None],
        on_dequeued: Callable[[], None] = lambda: None,
    ) -> None:
        self._max_batch, self._max_delay, self._on_fatal = max_batch, max_delay, on_fatal
        self._on_dequeued = on_dequeued
        self._queue = _FairQueue()
        self._calls: deque[Callable[[], None]] = deque()
        self._next_call_at = 0.0  # of the monotonic clock
        self._shared = False  # whether a batch has run since the last call
        self._best_batch = max_batch
        self._ready = threading.Condition()
        self._preparing = 0
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

    def execute(self, work: Callable[[], T]) -> T:
        """Call ``work`` in the thread of the networks, and return or raise what it does. Batches of
        jobs have at least half of the time. For forward passes of a pipeline that is loaded.
        """
        future: Future[T] = Future()

        def call() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        with self._ready:
            self._calls.append(call)
            self._ready.notify_all()
        return future.result()

    def expect(self, pictures: int) -> None:
        """So many are about to be prepared: a batch may wait for them."""
        with self._ready:
            self._preparing += pictures

    def arrived(self, pictures: int) -> None:
        """So many of those expected are in line, or will not come."""
        with self._ready:
            self._preparing -= pictures
            if not self._preparing:  # only then is there nothing more to wait for
                self._ready.notify_all()

    def postpone(self, pictures: int) -> None:
        """So many of those expected come much later: there is room for others meanwhile."""
        self.arrived(pictures)
        self._on_dequeued()

    def submit(
        self,
        pipeline: Pipeline[Any],
        prepared: Any,
        run_alone: bool = False,
        pictures: int = 1,
        owner: str = "",
    ) -> Future[ForwardResult]:
        """Queue one picture, of which ``pictures`` candidates are drawn; the future holds its
        output or the exception that it caused by itself. Owners take turns.
        """
        unit = _QueuedItem(pipeline, prepared, run_alone, owner, pictures)
        with self._ready:
            self._queue.append(unit)
            # Of several in a row the thread need see only the first, to start its clock: whoever
            # prepares more wakes it when done.
            count = len(self._queue)
            if count == 1 or count >= self._max_batch or not self._preparing:
                self._ready.notify_all()
        return unit.future

    def queued_pictures(self) -> int:
        return self._queue.pictures

    def room(self) -> int:
        """How many more pictures are worth having, so that the networks never wait: with those in
        line and expected two of the batches that pay. While one of these is in line, so few more
        are not worth a trip that the next batch to be taken makes room for many: then 0.
        """
        room = 2 * self._best_batch - self._queue.pictures - self._preparing
        few = room < min(_WORTH_A_TRIP, self._best_batch)
        return 0 if few and self._queue.pictures >= self._best_batch else max(room, 0)

    def short(self) -> bool:
        """Whether those in line and expected are less than a batch."""
        return self._queue.pictures + self._preparing < self._best_batch

    def _loop(self) -> None:
        try:
            while self._wait_for_work():
                if self._calls and self._may_call():
                    self._run_call()
                if units := self._next_batch():
                    self._run_batch([u for u in units if u.future.set_running_or_notify_cancel()])
        except BaseException as error:  # a fault of ours: without this thread nothing moves
            log.critical("the thread of the networks has ended", exc_info=error)
            self._on_fatal(error)

    def _wait_for_work(self) -> bool:
        """False when stopped and nothing waits."""
        with self._ready:
            while not (self._queue or self._stopped or (self._calls and self._may_call())):
                pause = self._next_call_at - time.monotonic()
                self._ready.wait(max(pause, 0.0) if self._calls else None)
            return bool(self._queue or self._calls)

    def _may_call(self) -> bool:
        return self._stopped or time.monotonic() >= self._next_call_at

    def _run_call(self) -> None:
        """One call; batches then have the networks for as long, if there are any."""
        started = time.monotonic()
        self._calls.popleft()()
        self.progress_at = now = time.monotonic()
        self._next_call_at = now + (now - started if self._shared else 0.0)
        self._shared = False

    def _run_batch(self, units: Sequence[_QueuedItem]) -> None:
        self._on_dequeued()
        self._shared = True
        self.busy_since = time.monotonic()
        try:
            if units:
                self._run(units)
        finally:
            self.busy_since, self.last_batch_at = None, time.time()
            self.progress_at = time.monotonic()

    def _next_batch(self) -> list[_QueuedItem]:
        """The next batch; empty when nothing waits."""
        with self._ready:
            if not self._queue:
                return []
            first = self._queue.pop_next()
            units = [first]
            if first.run_alone:
                return units
            # No more than pay may share its forward pass.
            self._best_batch = min(self._max_batch, first.pipeline.best_batch or self._max_batch)
            deadline = time.monotonic() + self._max_delay
            while True:
                units += self._queue.pop_matching(
                    first.pipeline, self._best_batch - _count_pictures(units)
                )
                left = deadline - time.monotonic()
                if _count_pictures(units) >= self._best_batch or not self._preparing or left <= 0:
                    return units
                self._ready.wait(left)

    def _run(self, units: Sequence[_QueuedItem]) -> None:
        self.busy_since = time.monotonic()  # each part of a batch that is halved is progress
        started = time.perf_counter()
        try:
            outputs = units[0].pipeline.forward([u.prepared for u in units])
        except Exception as error:
            metrics.BUSY.inc(time.perf_counter() - started)
            self._bisect(units, error)
            return
        seconds, number = time.perf_counter() - started, next(self._numbers)
        metrics.BUSY.inc(seconds)
        metrics.BATCH_SIZE.observe(_count_pictures(units))
        about = seconds, number, _count_pictures(units), time.time()
        for unit, pixels in zip(units, outputs, strict=True):
            unit.future.set_result(ForwardResult(pixels, *about))

    def _bisect(self, units: Sequence[_QueuedItem], error: Exception) -> None:
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


def _count_pictures(units: Sequence[_QueuedItem]) -> int:
    return sum(unit.pictures for unit in units)
