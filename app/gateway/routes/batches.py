"""``/batches``: many jobs under one id, with one event stream, one webhook and one archive of their
images.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.gateway.admission import batch_problem, check_memory
from app.gateway.api_keys import ADMIN
from app.gateway.auth import Caller
from app.gateway.batch_archive import stream_archive
from app.gateway.dependencies import AnyCaller, BatchId, Reader, ServicesDependency, StreamSlot
from app.gateway.event_streams import EventStream
from app.gateway.image_responses import Download, hold_linked
from app.gateway.problems import Problem
from app.gateway.routes.jobs import LastEventId, get_batch, server_sent, unheard_events
from app.gateway.services import Services
from app.gateway.submission import parse_webhook
from app.gateway.views import BatchView, batch_view, json_response
from jobs.batch import Batch, BatchStatus
from jobs.batch_store import chunks
from jobs.requests import MAX_URL, TASKS
from jobs.store import BatchRefused

router = APIRouter(prefix="/batches", tags=["batches"])


class BatchRequest(BaseModel):
    """What a batch may have."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    webhook: Annotated[
        str | None,
        Field(max_length=MAX_URL, description="HTTPS URL called when the batch ends"),
    ] = None


@router.post("", status_code=201, summary="Create a batch", response_model=BatchView)
async def create_batch(
    services: ServicesDependency, caller: AnyCaller, body: BatchRequest | None = None
) -> Response:
    """An open batch. Submit jobs with its id as `batch`, then close it."""
    _require_submitter(caller)
    webhook = parse_webhook(services, body.webhook if body else None)
    batch = await run_in_threadpool(_create, services, caller, webhook.url if webhook else None)
    view = batch_view(batch, services.settings.root_path)
    return json_response(view, 201, {"Location": view.links["self"]})


def _require_submitter(caller: Caller) -> None:
    if not any(map(caller.has_scope, TASKS)):
        caller.require_scope(next(iter(TASKS)))


def _create(services: Services, caller: Caller, webhook: str | None) -> Batch:
    settings = services.settings
    check_memory(services.store, settings)
    limits = settings.max_batches, settings.max_batch_jobs
    # For as long as its last results, and as its webhook may be tried: pauses grow by a quarter.
    lifetime = max(settings.result_ttl, 1.5 * sum(settings.webhook_delays))
    try:
        return services.store.batches.create(caller.owner, webhook, *limits, lifetime)
    except BatchRefused as refused:
        raise batch_problem(refused) from refused


@router.get("/{batch_id}", summary="Get a batch", response_model=BatchView)
async def get_batch_view(
    batch_id: BatchId, services: ServicesDependency, caller: Reader
) -> Response:
    """How many of its jobs are where; GET /jobs?batch=ID lists them."""
    batch = await get_batch(services, caller, batch_id)
    return json_response(batch_view(batch, services.settings.root_path))


@router.post("/{batch_id}/close", summary="Close a batch", response_model=BatchView)
async def close_batch(
    batch_id: BatchId, services: ServicesDependency, caller: AnyCaller
) -> Response:
    """It takes no more jobs, and ends with the last one that it has: its webhook is called then.
    Closing it twice does no harm.
    """
    _require_submitter(caller)
    await get_batch(services, caller, batch_id)
    await run_in_threadpool(services.store.batches.close, batch_id)
    return await get_batch_view(batch_id, services, caller)


@router.delete("/{batch_id}", status_code=202, summary="Delete a batch and its jobs")
async def delete_batch(
    batch_id: BatchId, services: ServicesDependency, caller: AnyCaller
) -> Response:
    """Cancels the jobs that have not ended, and erases all of them within seconds, as DELETE does a
    job. No webhook is called any more.
    """
    _require_submitter(caller)
    await get_batch(services, caller, batch_id)
    await run_in_threadpool(_erase, services, caller, batch_id)
    return Response(status_code=202)


def _erase(services: Services, caller: Caller, batch_id: str) -> None:
    store = services.store
    for job_ids in () if caller.has_scope(ADMIN) else chunks(store.batches.members(batch_id)):
        for job in store.get_readable(job_ids):
            caller.require_scope(job.task)
    store.batches.erase(batch_id)


async def open_batch_stream(
    batch_id: BatchId,
    services: ServicesDependency,
    caller: Reader,
    last_event_id: LastEventId = None,
) -> AsyncIterator[EventStream]:
    """What the client has not heard yet."""
    batch = await get_batch(services, caller, batch_id)
    over = batch.status is BatchStatus.ended
    async with unheard_events(services, caller, batch_id, over, last_event_id) as stream:
        yield stream


_EVENT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`status`, `job` for each job that ends, and `final` with the batch, after "
        "which the stream ends"
    },
    204: {"description": "the client has heard it all"},
}


@router.get(
    "/{batch_id}/events",
    summary="Stream the events of a batch",
    response_class=EventSourceResponse,
    responses=_EVENT_RESPONSES,
    dependencies=[StreamSlot],
)
async def stream_batch_events(
    stream: Annotated[EventStream, Depends(open_batch_stream)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: every job that has ended, then those that end, then the end of all."""
    async for event in server_sent(stream):
        yield event


@router.get(
    "/{batch_id}/images.zip",
    summary="Get all images of a batch",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
)
async def get_batch_images(
    batch_id: BatchId, services: ServicesDependency, caller: Reader
) -> Response:
    """A ZIP file of all images of a batch that has ended, and `manifest.json`, which has the job
    and the receipt of each.
    """
    batch = await get_batch(services, caller, batch_id)
    if batch.status is not BatchStatus.ended:
        raise Problem(
            409,
            f"{batch.unfinished} jobs of this batch have not ended"
            if batch.closed_at
            else "This batch is open; close it, and wait for its end.",
            headers={"Retry-After": "1"},
        )
    headers = {
        "Content-Disposition": f'attachment; filename="{batch.id}.zip"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    job_ids = await run_in_threadpool(services.store.batches.members, batch_id)
    with hold_linked(services, caller.rate_limit_key, f"link {batch_id}") as held:
        parts = stream_archive(services, job_ids)
        return Download(parts, headers, "application/zip", held.pop_all())
