"""Followers of jobs: any number of open event streams, fed by one reader per gateway process.

A stream costs neither a thread nor a connection: the gateway's one subscription says which jobs
changed, and one reader fetches what is new of all followed jobs together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import to_thread

from app.gateway.problems import Problem
from app.gateway.subscriptions import RECHECK, JobSubscriptions, end_tasks
from app.gateway.views import job_view
from jobs.batch import Batch
from jobs.errors import StoreError, UnreadableRecord
from jobs.job import CANCEL_REQUESTED, STREAM_START, JobEvent, Status, event_order
from jobs.redis_store import JobStore

log = logging.getLogger(__name__)
_POSITIONS_EVERY = 1.0  # seconds between two looks at the places in the queue
_GATHER_WINDOW = 0.02  # seconds in which changes are gathered for one read
_STATUS_DATA = {CANCEL_REQUESTED: {"status": Status.running, "cancel_requested": True}}


@dataclass(frozen=True)
class Update:
    """What a stream says: ``kind`` is status, position, progress, job or final. Updates that can be
    resumed from have an id.
    """

    kind: str
    data: Mapping[str, Any]
    id: str | None = None


class EventStream:
    """The updates of a job or batch for one stream, from the event after ``cursor`` to the end."""

    def __init__(self, job_id: str, cursor: str, caller: str) -> None:
        self.job_id, self.cursor, self.caller = job_id, cursor, caller
        self.waiting = False  # in the queue, as far as this stream knows
        self.queue_position: int | None = None
        self._updates: deque[Update] = deque()
        self._ready = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Update:
        while not self._updates:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._updates.popleft()

    def push_events(self, events: Sequence[JobEvent], end: Mapping[str, Any] | None) -> None:
        """Hand on what this stream has not said yet; ``end`` is the job as a client sees it once
        it is over.
        """
        last = event_order(self.cursor) or (0, 0)
        for event in events:
            if (event_order(event.id) or last) > last and not self._closed:
                self._push_event(event, end)

    def _push_event(self, event: JobEvent, end: Mapping[str, Any] | None) -> None:
        self.cursor = event.id
        if event.final and end:
            self._push(Update("final", end, event.id))
            self.close()
        elif event.job:
            self._push(Update("job", {"id": event.job, "status": event.status}, event.id))
        elif event.status:
            self.waiting = event.status == Status.queued
            data = _STATUS_DATA.get(event.status, {"status": event.status})
            self._push(Update("status", data, event.id))
        else:
            self._push(Update("progress", {"done": event.done, "total": event.total}, event.id))

    def push_position(self, position: int | None) -> None:
        """How many jobs wait in front of this one."""
        if self.waiting and position is not None and position != self.queue_position:
            self.queue_position = position
            self._push(Update("position", {"queue_position": position}))

    def expire(self) -> None:
        """The job's lifetime ended while it was followed."""
        self._push(Update("final", {"id": self.job_id, "status": Status.expired}))
        self.close()

    def close(self) -> None:
        """End the stream after what it has still to say."""
        self._closed = True
        self._ready.set()

    def _push(self, update: Update) -> None:
        self._updates.append(update)
        self._ready.set()


@dataclass(frozen=True)
class _Snapshot:
    """What one read found, by job id."""

    events: Mapping[str, Sequence[JobEvent] | None]
    ends: Mapping[str, Mapping[str, Any]]
    positions: Mapping[str, int | None]


class EventStreams:
    """All open streams of this process. ``limit``: how many there may be; ``root``: the path before
    all addresses.
    """

    def __init__(
        self, store: JobStore, subscriptions: JobSubscriptions, limit: int, root: str = ""
    ) -> None:
        self._store, self._subscriptions, self._limit = store, subscriptions, limit
        self._root = root
        self._streams: dict[str, set[EventStream]] = defaultdict(set)
        self._count = 0
        self._changed_jobs: set[str] = set()
        self._wake = asyncio.Event()
        self._limiter = anyio.CapacityLimiter(1)
        self._task: asyncio.Task[None] | None = None
        self._next_positions = self._next_recheck = 0.0

    def start(self) -> None:
        self._wake = asyncio.Event()  # of the loop that runs now
        self._subscriptions.listeners.append(self._on_change)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._subscriptions.listeners.remove(self._on_change)
        self._close()
        await end_tasks(self._task)

    def _close(self) -> None:
        """End all streams; their clients come back, to another server or the next one."""
        for stream in self._all_streams():
            stream.close()

    @contextlib.contextmanager
    def open(
        self, job_id: str, cursor: str = STREAM_START, caller: str = ""
    ) -> Iterator[EventStream]:
        """A feed for one stream of ``caller``. Problem 503 when too many are open."""
        if self._count >= self._limit:
            detail = "Too many event streams are open. Poll the job, or try again later."
            raise Problem(503, detail, headers={"Retry-After": "5"})
        stream = EventStream(job_id, cursor, caller)
        self._count += 1
        self._streams[job_id].add(stream)
        self._on_change(job_id)
        try:
            yield stream
        finally:
            self._count -= 1
            self._streams[job_id].discard(stream)
            if not self._streams[job_id]:
                del self._streams[job_id]

    def close_streams_of(self, callers: Collection[str]) -> None:
        for stream in self._all_streams():
            if stream.caller in callers:
                stream.close()

    def __len__(self) -> int:
        return self._count

    def _all_streams(self) -> list[EventStream]:
        return [feed for feeds in self._streams.values() for feed in feeds]

    def _on_change(self, job_id: str) -> None:
        """``job_id`` changed; "" when some changes may have been missed, or the server ends."""
        if self._subscriptions.closing:
            self._close()
        if not job_id:
            self._changed_jobs.update(self._streams)
        elif job_id in self._streams:
            self._changed_jobs.add(job_id)
        else:
            return
        self._wake.set()

    async def _run(self) -> None:
        while True:
            pause = _POSITIONS_EVERY if any(f.waiting for f in self._all_streams()) else RECHECK
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                await asyncio.sleep(_GATHER_WINDOW)
            self._wake.clear()
            try:
                await self._refresh(asyncio.get_running_loop().time())
            except Exception as error:  # every open stream depends on this loop
                if not isinstance(error, StoreError):
                    log.exception("reading events failed")
                await asyncio.sleep(1.0)
                self._on_change("")

    async def _refresh(self, now: float) -> None:
        if now >= self._next_recheck:
            self._next_recheck = now + RECHECK
            self._changed_jobs.update(self._streams)
        changed, self._changed_jobs = self._changed_jobs, set()
        cursors = {
            job_id: self._oldest_cursor(job_id) for job_id in changed if job_id in self._streams
        }
        waiting = self._due_positions(now)
        if cursors or waiting:
            snapshot = await to_thread.run_sync(
                self._read_snapshot, cursors, waiting, limiter=self._limiter
            )
            self._dispatch(snapshot)

    def _oldest_cursor(self, job_id: str) -> str:
        return min(
            (f.cursor for f in self._streams[job_id]), key=lambda c: event_order(c) or (0, 0)
        )

    def _due_positions(self, now: float) -> list[str]:
        """Followed jobs whose place in the queue is to be looked up."""
        due = now >= self._next_positions
        if due:
            self._next_positions = now + _POSITIONS_EVERY
        return list(
            {
                f.job_id
                for f in self._all_streams()
                if f.waiting and (due or f.queue_position is None)
            }
        )

    def _read_snapshot(self, cursors: Mapping[str, str], job_ids: Sequence[str]) -> _Snapshot:
        """Blocking."""
        events = self._store.events_after(cursors) if cursors else {}
        ends = {
            i: self._final_data(i, found[-1].status)
            for i, found in events.items()
            if found and found[-1].final
        }
        return _Snapshot(events, ends, self._store.queue_positions(job_ids) if job_ids else {})

    def _final_data(self, job_id: str, status: str) -> Mapping[str, Any]:
        (job,) = self._store.get_jobs_or_batches([job_id])
        if isinstance(job, UnreadableRecord):
            return {"id": job_id, "status": status}
        if job is None or job.status is Status.expired:
            return {"id": job_id, "status": Status.expired}
        if isinstance(job, Batch):
            return job.model_dump(mode="json")
        return job_view(job, None, root=self._root).model_dump(mode="json")

    def _dispatch(self, snapshot: _Snapshot) -> None:
        for job_id, events in snapshot.events.items():
            for stream in self._streams.get(job_id, ()):
                if events is None:
                    stream.expire()
                else:
                    stream.push_events(events, snapshot.ends.get(job_id))
        for job_id, position in snapshot.positions.items():
            for stream in self._streams.get(job_id, ()):
                stream.push_position(position)
        if any(f.waiting and f.queue_position is None for f in self._all_streams()):
            self._wake.set()
