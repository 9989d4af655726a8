"""``GET /jobs/{id}/events``: a job's life as server-sent events, resumed by ``Last-Event-ID``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.gateway.dependencies import Reader, ServicesDependency, StreamSlot
from app.gateway.event_streams import EventStream
from app.gateway.routes.jobs import require_job
from jobs.events import STREAM_START, event_order

router = APIRouter(tags=["jobs"])
_RETRY = 2000  # milliseconds after which a client comes back

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`status`, `position`, `progress`, and `final` with the whole job, after "
        "which the stream ends; a comment every 15 seconds keeps the connection open"
    },
    204: {"description": "the client has heard it all"},
}


async def open_stream(
    job_id: str,
    services: ServicesDependency,
    caller: Reader,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[EventStream]:
    """What the client has not heard yet. 204, which ends its attempts, when that is nothing."""
    cursor = last_event_id if last_event_id and event_order(last_event_id) else STREAM_START
    job = require_job(caller.get_visible(await services.get_job(job_id)))
    if job.status.final and cursor != STREAM_START:
        news = await run_in_threadpool(services.store.events_after, {job_id: cursor})
        if not news[job_id]:
            raise HTTPException(204)
    with services.event_streams.open(job_id, cursor) as stream:
        yield stream


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses=_RESPONSES,
    dependencies=[StreamSlot],
)
async def events(
    stream: Annotated[EventStream, Depends(open_stream)],
) -> AsyncIterator[ServerSentEvent]:
    """Everything that happened to the job so far, then what happens, until it is over."""
    yield ServerSentEvent(comment="follow", retry=_RETRY)
    async for update in stream:
        yield ServerSentEvent(event=update.kind, data=update.data, id=update.id)
