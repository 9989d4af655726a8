"""Followers of jobs: any number of open event streams.

A stream costs neither a thread nor a connection: the gateway's one subscription says which jobs
changed, and streams share the round trips that fetch what is new.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from fastapi.sse import ServerSentEvent

from app.gateway.coalescer import Coalescer
from app.gateway.problems import Problem
from app.gateway.subscriptions import RECHECK, JobSubscription, JobSubscriptions
from app.gateway.views import job_view
from jobs.batch import Batch
from jobs.errors import StoreError, UnreadableRecord
from jobs.job import CANCEL_REQUESTED, STREAM_START, JobEvent, Status, event_order
from jobs.redis_store import JobStore

_POSITIONS_EVERY = 1.0  # seconds between two looks at the place in the queue
_GATHER_WINDOW = 0.02  # seconds in which changes are gathered for one read
_RETRY = 2000  # milliseconds after which a client comes back
_STORE_PAUSE = 1.0  # seconds before a store that can't be reached is asked again
# About how many jobs start before one, and when it is likely to, in seconds since 1970.
QueuePosition = tuple[int | None, float | None]
_STATUS_DATA = {CANCEL_REQUESTED: {"status": Status.running, "cancel_requested": True}}


class EventStreams:
    """All open streams of this process. ``positions`` finds how many jobs start before one;
    ``limit``: how many streams there may be; ``root``: the path before all addresses.
    """

    def __init__(
        self,
        store: JobStore,
        subscriptions: JobSubscriptions,
        positions: Coalescer[str, QueuePosition],
        limit: int,
        root: str = "",
    ) -> None:
        self._store, self._subscriptions, self._positions = store, subscriptions, positions
        self._limit, self._root = limit, root
        self._count = 0
        self._news = Coalescer(self._read_news, max_batch=512)

    @contextlib.contextmanager
    def open(
        self, job_id: str, cursor: str = STREAM_START, caller: str = ""
    ) -> Iterator[AsyncIterator[ServerSentEvent]]:
        """What one stream of ``caller`` says of a job or batch, from the event after ``cursor`` to
        the end: status, position, progress, job or final; what it can be resumed from has an id.
        Problem 503 when too many are open.
        """
        if self._count >= self._limit:
            detail = "Too many event streams are open. Poll the job, or try again later."
            raise Problem(503, detail, retry_after=5)
        self._count += 1
        try:
            with self._subscriptions.subscribe(job_id, every_change=True) as subscription:
                yield self._follow(subscription, cursor, caller)
        finally:
            self._count -= 1

    async def _follow(
        self, subscription: JobSubscription, cursor: str, caller: str
    ) -> AsyncIterator[ServerSentEvent]:
        """Ends early when the server does, or ``caller``'s key is revoked: clients come back."""
        job_id, waiting, place, changed = subscription.job_id, False, None, True
        clock = asyncio.get_running_loop().time
        yield ServerSentEvent(comment="follow", retry=_RETRY)
        while not subscription.is_closed(caller):
            try:
                if changed:
                    recheck = clock() + RECHECK
                    for update in await self._news((job_id, cursor)):
                        yield update
                        if update.event == "final":
                            return
                        if update.event == "status":
                            waiting = update.data["status"] == Status.queued
                        cursor = update.id or cursor
                position, _ = await self._positions(job_id) if waiting else (None, None)
            except StoreError:
                changed = True
                await asyncio.sleep(_STORE_PAUSE)
                continue
            if position not in (None, place):
                place = position
                yield _sse("position", {"queue_position": position})
            changed = await subscription.wait(_POSITIONS_EVERY if waiting else RECHECK)
            if changed:
                await asyncio.sleep(_GATHER_WINDOW)
            changed = changed or clock() >= recheck

    def _read_news(self, asked: Sequence[tuple[str, str]]) -> list[list[ServerSentEvent]]:
        """What has happened to jobs, after a cursor each. Blocking."""
        cursors: dict[str, str] = {}
        for job_id, cursor in asked:
            cursors[job_id] = min(cursor, cursors.get(job_id, cursor), key=_order)
        found = self._store.events_after(cursors)
        ends = {
            job_id: self._final_data(job_id, events[-1].status)
            for job_id, events in found.items()
            if events and events[-1].final
        }
        result = []
        for job_id, cursor in asked:
            events = found[job_id]
            after = None if events is None else [e for e in events if _order(e.id) > _order(cursor)]
            result.append(list(_updates(job_id, after, ends.get(job_id))))
        return result

    def _final_data(self, job_id: str, status: str) -> Mapping[str, Any]:
        (job,) = self._store.get_jobs_or_batches([job_id])
        if isinstance(job, UnreadableRecord):
            return {"id": job_id, "status": status}
        if job is None or job.status is Status.expired:
            return {"id": job_id, "status": Status.expired}
        if isinstance(job, Batch):
            return job.model_dump(mode="json")
        return job_view(job, None, root=self._root).model_dump(mode="json")


def _sse(kind: str, data: Mapping[str, Any], event_id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(event=kind, data=data, id=event_id)


def _order(event_id: str) -> tuple[int, int]:
    return event_order(event_id) or (0, 0)


def _updates(
    job_id: str, events: Sequence[JobEvent] | None, end: Mapping[str, Any] | None
) -> Iterator[ServerSentEvent]:
    """``events``: None when the job is erased; ``end``: the job as a client sees it once it is
    over.
    """
    if events is None:
        yield _sse("final", {"id": job_id, "status": Status.expired})
        return
    for event in events:
        if event.final and end:
            yield _sse("final", end, event.id)
        elif event.job:
            yield _sse("job", {"id": event.job, "status": event.status}, event.id)
        elif event.status:
            data = _STATUS_DATA.get(event.status, {"status": event.status})
            yield _sse("status", data, event.id)
        else:
            yield _sse("progress", {"done": event.done, "total": event.total}, event.id)
