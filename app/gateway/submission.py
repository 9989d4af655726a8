"""From a request to an accepted job: validate, warn, normalise and store the pictures, record,
then send a hint.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from starlette.concurrency import run_in_threadpool

from app.gateway.admission import check_admission, check_disk, quota_problem
from app.gateway.auth import Caller
from app.gateway.caption_warnings import caption_warnings
from app.gateway.idempotency import find_earlier_job
from app.gateway.inputs import InputNormalizer
from app.gateway.problems import Problem, validated
from app.gateway.services import Services
from app.gateway.uploads import ImageInput
from app.webhooks.addresses import UnsafeAddress
from jobs.blobs import input_key, job_folder
from jobs.bundles import BundleTask
from jobs.errors import BlobError, StoreError
from jobs.image_files import stored_extension
from jobs.job import Job, Priority, Webhook, needed_schema, new_id
from jobs.logs import note_id, noted_id
from jobs.requests import CANDIDATE_RANKER, MAX_SEED, TaskRequest
from jobs.store import IdempotencyKey, NewJob, Quota
from jobs.traces import traceparent

_NOT_STORED = {"webhook", "priority", "batch"}  # in the request: the job has them itself
_PICTURE_BYTES = 2**18  # that a picture of 256×256 pixels takes at most
_WEBHOOK_ADVICE = "Give an https:// address of a host on the internet."


@dataclass(frozen=True)
class Submission:
    """The job of a request. ``replayed``: an earlier request with the same key created it."""

    job: Job
    replayed: bool = False


async def submit(
    services: Services,
    caller: Caller,
    task: type[TaskRequest],
    fields: Mapping[str, Any],
    pictures: Mapping[str, ImageInput],
    idempotency_key: IdempotencyKey | None = None,
    *,
    strict: bool = False,
    job_id: str | None = None,
) -> Submission:
    """The job, recorded as the caller's and on its way. Raises Problem or ImageProblem when it
    can't be accepted. Under ``idempotency_key`` a request makes one job, however often and at how
    many gateways it arrives. ``strict``: numbers are numbers, not the text of numbers. ``job_id``:
    of the new job.
    """
    if idempotency_key:
        earlier = await run_in_threadpool(find_earlier_job, services, idempotency_key)
        if earlier:
            return Submission(earlier, replayed=True)
    request = validated(task, fields, strict)
    found, webhook = _find_bundle_task(services, request), parse_webhook(services, request.webhook)
    request = _resolve_defaults(request, found)
    catalogue, method = services.catalogue.current(), request.method or found.method
    warnings = caption_warnings(found, method, request.texts, catalogue)
    if request.images or caller.key or request.batch is not None:
        await run_in_threadpool(_check_limits, services, caller, request)
    job_id = job_id or new_id()
    note_id("job", job_id)
    inputs = InputNormalizer(services, caller, dict(pictures))
    uploads, more = await inputs.normalize(task.images)
    job = _build_job(caller, request, found, job_id, uploads, [*warnings, *more], webhook)
    async with _store_inputs(services, job, uploads):
        count = request.returned_count
        if caller.key and caller.key.pictures_per_day:
            await run_in_threadpool(services.authenticator.charge_pictures, caller, count)
        new = _new_job(services, caller, job, idempotency_key, uploads, count)
        created = await services.enqueuer.enqueue(new)
    if created is None:
        return await run_in_threadpool(_handle_duplicate, services, job, idempotency_key)
    return Submission(created)


def _build_job(
    caller: Caller,
    request: TaskRequest,
    found: BundleTask,
    job_id: str,
    uploads: Mapping[str, bytes],
    warnings: Sequence[str],
    webhook: Webhook | None,
) -> Job:
    batch = request.batch or ""
    return Job(
        schema_version=needed_schema(batch),
        id=job_id,
        task=request.task,
        owner=caller.owner,
        request_id=noted_id("request"),
        traceparent=traceparent(),
        priority=_priority(caller, request),
        pictures=request.drawn_count,
        request=request.model_dump(mode="json", exclude=_NOT_STORED, exclude_none=True),
        bundle_sha256=found.sha256,
        inputs={n: input_key(job_id, n, stored_extension(x)) for n, x in uploads.items()},
        warnings=tuple(warnings),
        webhook=webhook,
        batch=batch,
    )


def _priority(caller: Caller, request: TaskRequest) -> Priority:
    """The one asked for, if the caller's key may."""
    wanted = Priority(request.priority)
    if caller.key and wanted.exceeds(caller.key.priority):
        raise Problem(
            403,
            f"This key's jobs may have priority {caller.key.priority} at most; ask for that, or "
            "use a key made with: mmml keys create NAME --priority high",
        )
    return wanted


def _check_limits(services: Services, caller: Caller, request: TaskRequest) -> None:
    """Before any effort is made, and anything is counted. Blocks."""
    store, settings = services.store, services.settings
    if request.images or caller.key:
        check_admission(store, settings, caller)
    if request.images:
        check_disk(services.blobs, settings)
    if request.batch is None:
        return
    batch = store.batches.get(request.batch)
    if batch is None or batch.owner != caller.owner:
        raise Problem(422, "batch: there is no such batch; create one with POST /batches.")
    if batch.closed_at:
        raise quota_problem(store, settings, Quota.batch, batch.total)


def _new_job(
    services: Services,
    caller: Caller,
    job: Job,
    idempotency_key: IdempotencyKey | None,
    uploads: Mapping[str, bytes],
    count: int,
) -> NewJob:
    settings, key = services.settings, caller.key
    sizes = [len(data) for data in uploads.values()]
    return NewJob(
        job,
        idempotency_key,
        start_within=settings.job_deadline,
        max_unfinished=(key.max_active or settings.max_active) if key else None,
        max_running=(key.max_running or settings.max_running or None) if key else None,
        max_stored=(int(settings.max_stored) or None) if key else None,
        # Results are about as large as their photo.
        stored=sum(sizes) + count * max(_PICTURE_BYTES, *sizes, 0),
    )


def _resolve_defaults(request: TaskRequest, found: BundleTask) -> TaskRequest:
    """With what it left open decided, so that the job can be made again as it was."""
    decided = {
        "bundle": found.bundle,
        "method": request.method or found.method,
        "seed": secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed,
    }
    request = request.with_bundle_defaults(found.serving).model_copy(update=decided)
    _check_offered(found, request)
    return request


@asynccontextmanager
async def _store_inputs(
    services: Services, job: Job, uploads: Mapping[str, bytes]
) -> AsyncIterator[None]:
    """Blobs first, the record, in the block, second: it can be claimed at once. What is refused
    leaves no blob behind. After any other error it is not known whether there is a record, so the
    blobs stay; those without a record are found as orphans later.
    """
    if not uploads:
        yield
        return

    def put() -> None:
        for name, data in uploads.items():
            services.blobs.put(job.inputs[name], data)

    try:
        await to_thread.run_sync(put, limiter=services.storage_threads)
        yield
    except (Problem, BlobError):
        erase, folder = services.blobs.delete_prefix, job_folder(job.id)
        with suppress(BlobError):
            await to_thread.run_sync(erase, folder, limiter=services.storage_threads)
        raise


def _handle_duplicate(
    services: Services, job: Job, idempotency_key: IdempotencyKey | None
) -> Submission:
    """The same request arrived twice at a time, and the other one was recorded first."""
    services.blobs.delete_prefix(job_folder(job.id))
    earlier = find_earlier_job(services, idempotency_key) if idempotency_key else None
    if earlier is None:
        raise StoreError(f"job {job.id} could not be recorded")
    return Submission(earlier, replayed=True)


def parse_webhook(services: Services, url: str | None) -> Webhook | None:
    """Where to announce the end. What can be known of the address without looking it up is refused
    here; the rest when it is called.
    """
    if url is None:
        return None
    try:
        services.settings.webhook_policy().check(url)
    except UnsafeAddress as error:
        raise Problem(422, f"webhook can't be used: {error} {_WEBHOOK_ADVICE}") from error
    return Webhook(url=url)


def _find_bundle_task(services: Services, request: TaskRequest) -> BundleTask:
    catalogue = services.catalogue.current()
    found = catalogue.find(request.task, request.bundle)
    if found:
        return found
    offering = catalogue.bundles_offering(request.task)
    if not offering:
        raise Problem(
            503, f"No bundle offers {request.task}. Train or import one into the weights folder."
        )
    name = request.bundle or catalogue.default(request.task)
    raise Problem(
        422, f"No bundle {name!r} offers {request.task}; there are: {', '.join(offering)}."
    )


def _check_offered(found: BundleTask, request: TaskRequest) -> None:
    """Raises Problem 422 for what the bundle can't do."""
    method = request.method or found.method
    if method not in found.methods:
        offered = ", ".join(found.methods)
        raise Problem(
            422, f"Bundle {found.bundle!r} does not offer method {method!r}; there are: {offered}."
        )
    why = found.explanation_problem(method) if request.explain else None
    why = why or found.size_problem(request.size)
    if getattr(request, "candidates", 1) > 1 and not found.ranks_candidates:
        why = why or (
            f"Bundle {found.bundle!r} lacks {CANDIDATE_RANKER}, which would choose among "
            "candidates; leave candidates out, or add it to the bundle."
        )
    if why:
        raise Problem(422, why)
