"""``/batches``: many jobs under one id, with one event stream, one webhook and one file of their
images.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.gateway.admission import check_memory, quota_problem
from app.gateway.api_document import request_body
from app.gateway.api_keys import ADMIN
from app.gateway.auth import Caller
from app.gateway.batch_archive import stream_archive
from app.gateway.dependencies import AnyCaller, BatchId, Reader, ServicesDependency
from app.gateway.image_responses import Download, hold_download
from app.gateway.json_bodies import BatchRequest, json_body
from app.gateway.problems import Problem
from app.gateway.routes.jobs import get_batch
from app.gateway.submission import parse_webhook
from jobs.batch import Batch
from jobs.requests import TASKS
from jobs.store import OverQuota

router = APIRouter(prefix="/batches", tags=["batches"])


@router.post(
    "",
    status_code=201,
    summary="Create a batch",
    openapi_extra={
        "requestBody": request_body({"application/json": "BatchRequest"}, required=False)
    },
)
def create_batch(
    services: ServicesDependency,
    caller: AnyCaller,
    body: Annotated[BatchRequest, Depends(json_body(BatchRequest, optional=True))],
    response: Response,
) -> Batch:
    """An open batch. Submit jobs with its id as `batch`, then close it."""
    _require_submitter(caller)
    store, settings = services.store, services.settings
    webhook = parse_webhook(services, body.webhook)
    check_memory(store, settings)
    limits = settings.max_batches, settings.max_batch_jobs
    # As long as its last results, and as its webhook is tried: pauses grow by up to a quarter.
    lifetime = max(settings.result_ttl, 1.5 * sum(settings.webhook_delays))
    try:
        url = webhook.url if webhook else ""
        batch_id = store.batches.create(caller.owner, url, *limits, lifetime)
    except OverQuota as over:
        raise quota_problem(store, settings, over.quota, over.used) from over
    response.headers["Location"] = f"{settings.root_path}/batches/{batch_id}"
    return get_batch(services, caller, batch_id)


def _require_submitter(caller: Caller) -> None:
    if not any(map(caller.has_scope, TASKS)):
        caller.require_scope(next(iter(TASKS)))


@router.get("/{batch_id}", summary="Get a batch")
def show_batch(batch_id: BatchId, services: ServicesDependency, caller: Reader) -> Batch:
    """How many of its jobs are where; GET /jobs?batch=ID lists them."""
    return get_batch(services, caller, batch_id)


@router.post("/{batch_id}/close", summary="Close a batch")
def close_batch(batch_id: BatchId, services: ServicesDependency, caller: AnyCaller) -> Batch:
    """It takes no more jobs, and ends, calling its webhook, when all that it has have ended. To
    close it twice does no harm.
    """
    _require_submitter(caller)
    get_batch(services, caller, batch_id)
    services.store.batches.close(batch_id)
    return get_batch(services, caller, batch_id)


@router.delete(
    "/{batch_id}",
    status_code=202,
    summary="Delete a batch and its jobs",
    response_class=Response,
)
def delete_batch(batch_id: BatchId, services: ServicesDependency, caller: AnyCaller) -> Response:
    """Cancels its jobs that have not ended, and erases all of them, as DELETE does a job, within
    seconds. No webhook is called any more.
    """
    _require_submitter(caller)
    get_batch(services, caller, batch_id)
    store = services.store
    for job_ids in () if caller.has_scope(ADMIN) else store.batches.members(batch_id):
        for job in store.get_readable(job_ids):
            caller.require_scope(job.task)
    store.batches.erase(batch_id)
    return Response(status_code=202)


@router.get(
    "/{batch_id}/images.zip",
    summary="Get all images of a batch",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def get_batch_images(
    batch_id: BatchId, services: ServicesDependency, caller: Reader
) -> Response:
    """A ZIP file of all images of a batch that has ended, and `manifest.json`, which tells the job
    and the receipt of each.
    """
    batch = await run_in_threadpool(get_batch, services, caller, batch_id)
    if batch.finished_at is None:
        detail = f"This batch is {batch.status}, and {batch.unfinished} of its jobs have not ended."
        more = " Close it and wait for its end."
        raise Problem(409, detail + more, retry_after=1)
    headers = {
        "Content-Disposition": f'attachment; filename="{batch.id}.zip"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    members = await run_in_threadpool(services.store.batches.members, batch_id)
    with hold_download(services, caller.rate_limit_key, f"link {batch_id}") as held:
        parts = stream_archive(services, members)
        return Download(parts, headers, "application/zip", held.pop_all())
