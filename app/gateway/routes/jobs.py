"""``/jobs``: look at jobs, wait for them, cancel and erase them; and ``/jobs/{id}/events``, a job's
life as server-sent events, resumed by ``Last-Event-ID``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.gateway.api_keys import ADMIN
from app.gateway.auth import Caller
from app.gateway.dependencies import (
    A_BATCH,
    AnyCaller,
    BatchId,
    JobId,
    Reader,
    ServicesDependency,
    StreamSlot,
)
from app.gateway.image_responses import has_current, wait_seconds
from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.views import JobView, job_view, json_response
from jobs.batch import Batch
from jobs.blobs import job_folder
from jobs.job import STREAM_START, Job, Status, event_order
from jobs.requests import TASKS
from jobs.store import Cursor

router = APIRouter(prefix="/jobs", tags=["jobs"])


_CURSOR = re.compile(r"^(\d{1,12}\.\d{1,17})-([0-9a-f]{32})$", re.ASCII)


class _TaskName:
    """One of the tasks that are registered when the document is made."""

    def __get_pydantic_json_schema__(self, *_: object) -> dict[str, object]:
        return {
            "type": "string",
            "enum": list(TASKS),
            "description": "only jobs of this task",
            "examples": ["inpaint"],
        }


# For the OpenAPI document; the route checks them itself, in its own words.
_one_of_the_tasks = _TaskName()
_a_cursor = WithJsonSchema(
    {
        "type": "string",
        "pattern": _CURSOR.pattern,
        "description": "from the path of a next page",
        "examples": ["1764000000.123456-0199c3f0a1b2c3d4e5f60718293a4b5c"],
    }
)
_seconds = WithJsonSchema(
    {"type": "number", "minimum": 0, "description": "seconds to wait, up to 60", "examples": [30]}
)


class JobsView(BaseModel):
    """A page of jobs."""

    jobs: list[JobView] = Field(description="newest first; fewer than limit, even none, are usual")
    next: str | None = Field(None, description="path of the next page; null on the last one")


def get_batch(services: Services, caller: Caller, batch_id: str) -> Batch:
    """A batch that the caller may know of; 404 for any other. Blocks."""
    found = caller.get_visible(services.store.batches.get(batch_id))
    if found is None:
        raise Problem(404, "There is no such batch, or it has expired.")
    return found


def require_job(job: Job | None) -> Job:
    """404 when there never was such a job, 410 when its lifetime is over."""
    if job is None:
        raise Problem(404, "There is no such job.")
    if job.status is Status.expired:
        raise Problem(410, "This job has expired or was deleted; its inputs and pictures are gone.")
    return job


@router.get("", summary="List jobs", response_model=JobsView)
async def list_jobs(
    services: ServicesDependency,
    caller: Reader,
    status: Annotated[
        Status | None, Query(description="only jobs in this state", examples=["failed"])
    ] = None,
    task: Annotated[str | None, _one_of_the_tasks] = None,
    batch: Annotated[
        str | None, Query(description="only jobs of this batch", examples=[A_BATCH])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="jobs per page", examples=[20])] = 20,
    cursor: Annotated[str | None, _a_cursor] = None,
) -> Response:
    """Your jobs in pages, newest first. An administrator's key lists the jobs of all keys."""
    if task is not None and task not in TASKS:
        raise Problem(422, f"There is no such task; there are: {', '.join(TASKS)}.")
    before = _cursor(cursor) if cursor is not None else None
    if batch is not None:
        await run_in_threadpool(get_batch, services, caller, batch)
    jobs, following = await run_in_threadpool(
        services.store.list_jobs, status, limit, before, caller.list_scope, task, batch
    )
    root = services.settings.root_path
    only = {"status": status, "task": task, "batch": batch}
    page = root + _next_page(following, limit, **only) if following else None
    view = JobsView(jobs=[job_view(job, None, root=root) for job in jobs], next=page)
    headers = {"Link": f'<{page}>; rel="next"'} if page else None
    return json_response(view, headers=headers)


def _cursor(text: str) -> Cursor:
    found = _CURSOR.match(text)
    if not found:
        raise Problem(422, "cursor can't be used: take it from the next of the page before.")
    return float(found[1]), found[2]


def _next_page(cursor: Cursor, limit: int, **only: str | None) -> str:
    wanted = {key: value for key, value in only.items() if value}
    return f"/jobs?{urlencode({'limit': limit, **wanted, 'cursor': f'{cursor[0]!r}-{cursor[1]}'})}"


@router.get("/{job_id}", summary="Get a job", response_model=JobView)
async def get_job(
    job_id: JobId,
    request: Request,
    services: ServicesDependency,
    caller: Reader,
    wait: Annotated[str | None, _seconds] = None,  # noqa: ARG001 (read with Prefer)
) -> Response:
    """The job as it is now; with ``?wait=N``, once it has ended or after N seconds."""
    seconds = wait_seconds(request, services.settings.max_wait)
    with services.subscriptions.subscribe(job_id) as watch:
        found = caller.get_visible(await services.get_job(job_id))
        if seconds and not require_job(found).status.final:
            who = caller.rate_limit_key
            found, _ = await services.wait_until_final(watch, seconds, who, found)
    return await _response(request, services, require_job(found))


async def _response(request: Request, services: Services, job: Job) -> Response:
    response = json_response(await services.job_view(job))
    tag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "no-cache"
    if not job.status.final:
        response.headers["Retry-After"] = "1"
    if has_current(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    return response


@router.post("/{job_id}/cancel", summary="Cancel a job", response_model=JobView)
async def cancel_job(
    job_id: JobId, request: Request, services: ServicesDependency, caller: AnyCaller
) -> Response:
    """A waiting job ends at once, a running one at its next step. 409 if it has ended."""
    before = await _get_changeable(services, caller, job_id)
    if before.status.final:
        been = "been " if before.status is Status.canceled else ""
        raise Problem(409, f"This job is over: it has {been}{before.status}.")
    await run_in_threadpool(services.store.cancel, job_id)
    return await _response(request, services, require_job(await services.get_job(job_id)))


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete a job and its images",
    responses={202: {"description": "it still runs; erased within seconds, once it has stopped"}},
)
async def delete_job(job_id: JobId, services: ServicesDependency, caller: AnyCaller) -> Response:
    """Cancels the job if it has not ended, and erases inputs, images and the record. For a week
    the service still knows that the job existed. A webhook that was not sent yet is not sent.
    """
    await _get_changeable(services, caller, job_id)
    erase = partial(_erase, services, job_id)
    erased = await to_thread.run_sync(erase, limiter=services.storage_threads)
    return Response(status_code=204 if erased else 202)


async def _get_changeable(services: Services, caller: Caller, job_id: str) -> Job:
    """The job, if the caller may cancel and erase it: it is theirs and their key may submit such
    jobs.
    """
    job = require_job(caller.get_visible(await services.get_job(job_id)))
    if not caller.has_scope(ADMIN):
        caller.require_scope(job.task)
    return job


def _erase(services: Services, job_id: str) -> bool:
    """False while a worker holds the job: it stops, and the reconciler erases what is left."""
    status = services.store.cancel(job_id, erase=True)
    if status is None or not status.final:
        return status is None
    services.blobs.delete_prefix(job_folder(job_id))
    services.store.expire(job_id)
    return True


events_router = APIRouter()

_EVENT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`status`, `position`, `progress`, of a batch `job` for each job that ends, "
        "and `final` with the whole job or batch, after which the stream ends; a comment every 15 "
        "seconds keeps the connection open"
    },
    204: {"description": "the client has heard it all"},
}


LastEventId = Annotated[
    str | None,
    Header(
        description="id of the last event received; the stream goes on after it",
        examples=["1764000000000-0"],
    ),
]


EventStream = AsyncIterator[ServerSentEvent]


async def _unheard_from(
    record_id: str, ended: bool, services: Services, last_event_id: str | None
) -> str:
    """Where a client's stream goes on: at its begin after an event of another one, which may be
    later than all of this one. 204, which ends its attempts, when it has heard it all.
    """
    if not last_event_id or not event_order(last_event_id):
        return STREAM_START
    events = await run_in_threadpool(services.store.events_after, {record_id: STREAM_START})
    ids = [event.id for event in events[record_id] or ()]
    if ended and last_event_id in ids[-1:]:
        raise HTTPException(204)
    return last_event_id if last_event_id in ids else STREAM_START


async def open_job_stream(
    job_id: JobId,
    services: ServicesDependency,
    caller: Reader,
    last_event_id: LastEventId = None,
) -> AsyncIterator[EventStream]:
    """What the client has not heard yet of a job."""
    ended = require_job(caller.get_visible(await services.get_job(job_id))).status.final
    cursor = await _unheard_from(job_id, ended, services, last_event_id)
    with services.event_streams.open(job_id, cursor, caller.rate_limit_key) as stream:
        yield stream


async def open_batch_stream(
    batch_id: BatchId,
    services: ServicesDependency,
    caller: Reader,
    last_event_id: LastEventId = None,
) -> AsyncIterator[EventStream]:
    """What the client has not heard yet of a batch."""
    batch = await run_in_threadpool(get_batch, services, caller, batch_id)
    ended = batch.finished_at is not None
    cursor = await _unheard_from(batch_id, ended, services, last_event_id)
    with services.event_streams.open(batch_id, cursor, caller.rate_limit_key) as stream:
        yield stream


_STREAM: dict[str, Any] = {
    "response_class": EventSourceResponse,
    "responses": _EVENT_RESPONSES,
    "dependencies": [StreamSlot],
}


@events_router.get(
    "/jobs/{job_id}/events", tags=["jobs"], summary="Stream the events of a job", **_STREAM
)
async def stream_events(
    stream: Annotated[EventStream, Depends(open_job_stream)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: everything that has happened to it, then what happens next."""
    async for event in stream:
        yield event


@events_router.get(
    "/batches/{batch_id}/events",
    tags=["batches"],
    summary="Stream the events of a batch",
    **_STREAM,
)
async def stream_batch_events(
    stream: Annotated[EventStream, Depends(open_batch_stream)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: every job that has ended, then every end, and the batch's own."""
    async for event in stream:
        yield event
