"""Followers of jobs: any number of open event streams, fed by one reader per gateway process.

A stream costs neither a thread nor a connection: the gateway's one subscription says which jobs
changed, and one reader fetches what is new of all followed jobs together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import to_thread

from app.background_tasks import end_tasks
from app.gateway.problems import Problem
from app.gateway.subscriptions import RECHECK, Waiters
from app.gateway.views import job_view
from jobs.errors import StoreError
from jobs.events import CANCEL_REQUESTED, FIRST, JobEvent, event_order
from jobs.job import Status
from jobs.store import JobStore

log = logging.getLogger(__name__)
_POSITIONS_EVERY = 1.0  # seconds between two looks at the places in the queue
_GATHER = 0.02  # seconds in which changes are gathered for one read
_NEWS_OF_STATUS = {CANCEL_REQUESTED: {"status": Status.running, "cancel_requested": True}}


@dataclass(frozen=True)
class Update:
    """What a stream says: ``kind`` is status, position, progress or final. Updates that can be
    resumed from have an id.
    """

    kind: str
    data: Mapping[str, Any]
    id: str | None = None


class Feed:
    """The updates of one job for one stream, from the event after ``cursor`` to the end."""

    def __init__(self, job_id: str, cursor: str) -> None:
        self.job_id, self.cursor = job_id, cursor
        self.waiting = False  # in the queue, as far as this stream knows
        self.place: int | None = None
        self._updates: deque[Update] = deque()
        self._bell = asyncio.Event()
        self._over = False

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Update:
        while not self._updates:
            if self._over:
                raise StopAsyncIteration
            self._bell.clear()
            await self._bell.wait()
        return self._updates.popleft()

    def take(self, events: Sequence[JobEvent], end: Mapping[str, Any] | None) -> None:
        """Hand on what this stream has not said yet; ``end`` is the job as a client sees it once
        it is over.
        """
        seen = event_order(self.cursor) or (0, 0)
        for event in events:
            if (event_order(event.id) or seen) > seen and not self._over:
                self._hear(event, end)

    def _hear(self, event: JobEvent, end: Mapping[str, Any] | None) -> None:
        self.cursor = event.id
        if event.final and end:
            self._say(Update("final", end, event.id))
            self.close()
        elif event.status:
            self.waiting = event.status == Status.queued
            data = _NEWS_OF_STATUS.get(event.status, {"status": event.status})
            self._say(Update("status", data, event.id))
        else:
            self._say(Update("progress", {"done": event.done, "total": event.total}, event.id))

    def take_place(self, place: int | None) -> None:
        """How many jobs wait in front of this one."""
        if self.waiting and place is not None and place != self.place:
            self.place = place
            self._say(Update("position", {"queue_position": place}))

    def erased(self) -> None:
        """The job's lifetime ended while it was followed."""
        self._say(Update("final", {"id": self.job_id, "status": Status.expired}))
        self.close()

    def close(self) -> None:
        """End the stream after what it has still to say."""
        self._over = True
        self._bell.set()

    def _say(self, update: Update) -> None:
        self._updates.append(update)
        self._bell.set()


@dataclass(frozen=True)
class _Look:
    """What one read found, by job id."""

    events: Mapping[str, Sequence[JobEvent] | None]
    ends: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, int | None]


class Feeds:
    """All open streams of this process. ``most``: how many there may be."""

    def __init__(self, store: JobStore, waiters: Waiters, most: int) -> None:
        self._store, self._waiters, self._most = store, waiters, most
        self._feeds: dict[str, set[Feed]] = defaultdict(set)
        self._count = 0
        self._changed_jobs: set[str] = set()
        self._wake = asyncio.Event()
        self._limiter = anyio.CapacityLimiter(1)
        self._task: asyncio.Task[None] | None = None
        self._next_places = self._next_recheck = 0.0

    def start(self) -> None:
        self._wake = asyncio.Event()  # of the loop that runs now
        self._waiters.listeners.append(self._changed)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._waiters.listeners.remove(self._changed)
        self._close()
        await end_tasks(self._task)

    def _close(self) -> None:
        """End all streams; their clients come back, to another server or the next one."""
        for feed in self._all():
            feed.close()

    @contextlib.contextmanager
    def open(self, job_id: str, cursor: str = FIRST) -> Iterator[Feed]:
        """A feed for one stream. Problem 503 when too many are open."""
        if self._count >= self._most:
            detail = "Too many event streams are open. Poll the job, or try again later."
            raise Problem(503, detail, headers={"Retry-After": "5"})
        feed = Feed(job_id, cursor)
        self._count += 1
        self._feeds[job_id].add(feed)
        self._changed(job_id)
        try:
            yield feed
        finally:
            self._count -= 1
            self._feeds[job_id].discard(feed)
            if not self._feeds[job_id]:
                del self._feeds[job_id]

    def __len__(self) -> int:
        return self._count

    def _all(self) -> list[Feed]:
        return [feed for feeds in self._feeds.values() for feed in feeds]

    def _changed(self, job_id: str) -> None:
        """``job_id`` changed; "" when some changes may have been missed, or the server ends."""
        if self._waiters.closing:
            self._close()
        if not job_id:
            self._changed_jobs.update(self._feeds)
        elif job_id in self._feeds:
            self._changed_jobs.add(job_id)
        else:
            return
        self._wake.set()

    async def _run(self) -> None:
        while True:
            pause = _POSITIONS_EVERY if any(f.waiting for f in self._all()) else RECHECK
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                await asyncio.sleep(_GATHER)
            self._wake.clear()
            try:
                await self._round(asyncio.get_running_loop().time())
            except Exception as error:  # every open stream depends on this loop
                if not isinstance(error, StoreError):
                    log.exception("reading events failed")
                await asyncio.sleep(1.0)
                self._changed("")

    async def _round(self, now: float) -> None:
        if now >= self._next_recheck:
            self._next_recheck = now + RECHECK
            self._changed_jobs.update(self._feeds)
        changed, self._changed_jobs = self._changed_jobs, set()
        cursors = {job_id: self._oldest(job_id) for job_id in changed if job_id in self._feeds}
        places = self._to_place(now)
        if cursors or places:
            look = await to_thread.run_sync(self._look, cursors, places, limiter=self._limiter)
            self._hand_out(look)

    def _oldest(self, job_id: str) -> str:
        return min((f.cursor for f in self._feeds[job_id]), key=lambda c: event_order(c) or (0, 0))

    def _to_place(self, now: float) -> list[str]:
        """Followed jobs whose place in the queue is to be looked up."""
        due = now >= self._next_places
        if due:
            self._next_places = now + _POSITIONS_EVERY
        return list({f.job_id for f in self._all() if f.waiting and (due or f.place is None)})

    def _look(self, cursors: Mapping[str, str], places: Sequence[str]) -> _Look:
        """Blocking."""
        events = self._store.events(cursors) if cursors else {}
        ends = {i: self._end(i) for i, found in events.items() if found and found[-1].final}
        return _Look(events, ends, self._store.positions(places) if places else {})

    def _end(self, job_id: str) -> Mapping[str, Any]:
        job = self._store.get(job_id)
        if job is None or job.status is Status.expired:
            return {"id": job_id, "status": Status.expired}
        return job_view(job, None).model_dump(mode="json")

    def _hand_out(self, look: _Look) -> None:
        for job_id, events in look.events.items():
            for feed in self._feeds.get(job_id, ()):
                if events is None:
                    feed.erased()
                else:
                    feed.take(events, look.ends.get(job_id))
        for job_id, place in look.places.items():
            for feed in self._feeds.get(job_id, ()):
                feed.take_place(place)
        if any(f.waiting and f.place is None for f in self._all()):
            self._wake.set()
