"""From a request to an accepted job: validate, warn, normalise and store the pictures, record,
then send a hint.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread
from PIL import Image
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from app.gateway.admission import check_room
from app.gateway.auth import Caller
from app.gateway.caption_warnings import warnings
from app.gateway.idempotency import replayed
from app.gateway.problems import Problem, invalid
from app.gateway.services import Services
from app.gateway.uploads import Alpha, AlphaOf, Box, Bytes, Earlier, Picture
from app.webhooks.addresses import UnsafeAddress
from jobs.blobs import input_key, job_folder
from jobs.bundles import BundleTask
from jobs.errors import BlobError, BlobMissing, StoreError
from jobs.images import decode_photo, encode
from jobs.job import Job, Priority, Status, Webhook, new_id
from jobs.masks import Mask, alpha_mask, box_mask, check_mask, read_mask
from jobs.requests import CHOSEN_BY, MAX_SEED, TaskRequest, resolved
from jobs.store import NewJob, OnceKey

_NOT_KEPT = {"webhook", "priority"}  # in the request: the job has them itself
_WEBHOOKS = "Give an https:// address of a host on the internet."


@dataclass(frozen=True)
class Accepted:
    """The job of a request. ``replayed``: an earlier request with the same key created it."""

    job: Job
    replayed: bool = False


async def submit(
    services: Services,
    caller: Caller,
    task: type[TaskRequest],
    fields: Mapping[str, Any],
    pictures: Mapping[str, Picture],
    once: OnceKey | None = None,
    *,
    strict: bool = False,
    job_id: str | None = None,
) -> Accepted:
    """The job, recorded as the caller's and on its way. Raises Problem or ImageProblem when it
    can't be accepted. Under ``once`` a request makes one job, however often and at how many
    gateways it arrives. ``strict``: numbers are numbers, not the text of numbers. ``job_id``: of
    the new job.
    """
    earlier = await run_in_threadpool(replayed, services, once) if once else None
    if earlier:
        return Accepted(earlier, replayed=True)
    request = _read(task, fields, strict)
    found, webhook = _bundle_task(services, request), _webhook(services, request)
    request = _settled(request, found)
    told = warnings(found, request.texts, services.catalogue.now())
    if task.images or caller.key:  # before any effort is made, and anything is counted
        await run_in_threadpool(check_room, services.store, services.settings, caller)
    job_id = job_id or new_id()
    uploads, more = await _normalized(services, caller, task, pictures)
    job = Job(
        id=job_id,
        task=task.task,
        owner=caller.owner,
        priority=_priority(caller, request),
        pictures=request.drawn,
        request=request.model_dump(mode="json", exclude=_NOT_KEPT, exclude_none=True),
        inputs={name: input_key(job_id, name) for name in uploads},
        warnings=(*told, *more),
        webhook=webhook,
    )
    async with _stored(services, job, uploads):
        await _spend(services, caller, request.returned)
        created = await services.enqueuer.enqueue(_new_job(services, caller, job, once))
    if created is None:
        return await run_in_threadpool(_overtaken, services, job, once)
    return Accepted(created)


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


def _new_job(services: Services, caller: Caller, job: Job, once: OnceKey | None) -> NewJob:
    settings, key = services.settings, caller.key
    return NewJob(
        job,
        once,
        start_within=settings.job_deadline,
        max_unfinished=(key.max_active or settings.max_active) if key else None,
        max_running=(key.max_running or settings.max_running or None) if key else None,
    )


def _read(task: type[TaskRequest], fields: Mapping[str, Any], strict: bool) -> TaskRequest:
    try:
        return task.model_validate(dict(fields), strict=strict)
    except ValidationError as error:
        raise invalid(error) from error


def _settled(request: TaskRequest, found: BundleTask) -> TaskRequest:
    """With what it left open decided, so that the job can be made again as it was."""
    request = resolved(
        request.with_serving(found.serving),
        bundle=found.bundle,
        method=_method(found, request.method),
        seed=secrets.randbelow(MAX_SEED + 1) if request.seed is None else request.seed,
    )
    _check_possible(found, request)
    _check_candidates(found, request)
    return request


async def _normalized(
    services: Services, caller: Caller, task: type[TaskRequest], pictures: Mapping[str, Picture]
) -> tuple[dict[str, bytes], list[str]]:
    """Every picture as a PNG, and warnings. Few are decoded at a time: each may take much memory
    meanwhile.
    """
    if not task.images:
        return {}, []
    normalize = partial(_normalize, services, caller, task, dict(pictures))
    return await to_thread.run_sync(normalize, limiter=services.decoders)


@asynccontextmanager
async def _stored(
    services: Services, job: Job, uploads: Mapping[str, bytes]
) -> AsyncIterator[None]:
    """Blobs first, the record, in the block, second: it can be claimed at once. What is refused
    leaves no blob behind. After any other error it is not known whether there is a record, so the
    blobs stay; those without a record are found as orphans later.
    """
    if not uploads:
        yield
        return
    try:
        await run_in_threadpool(_put, services, job, uploads)
        yield
    except (Problem, BlobError):
        with suppress(BlobError):
            await run_in_threadpool(services.blobs.delete_prefix, job_folder(job.id))
        raise


def _put(services: Services, job: Job, uploads: Mapping[str, bytes]) -> None:
    for name, data in uploads.items():
        services.blobs.put(job.inputs[name], data)


async def _spend(services: Services, caller: Caller, count: int) -> None:
    if caller.key and caller.key.pictures_per_day:
        await run_in_threadpool(services.gate.spend_pictures, caller, count)


def _overtaken(services: Services, job: Job, once: OnceKey | None) -> Accepted:
    """The same request arrived twice at a time, and the other one was recorded first."""
    services.blobs.delete_prefix(job_folder(job.id))
    earlier = replayed(services, once) if once else None
    if earlier is None:
        raise StoreError(f"job {job.id} could not be recorded")
    return Accepted(earlier, replayed=True)


def _webhook(services: Services, request: TaskRequest) -> Webhook | None:
    """Where to announce the end. What can be known of the address without looking it up is refused
    here; the rest when it is called.
    """
    if request.webhook is None:
        return None
    try:
        services.settings.webhook_policy().check(request.webhook)
    except UnsafeAddress as error:
        raise Problem(422, f"webhook can't be used: {error} {_WEBHOOKS}") from error
    return Webhook(url=request.webhook)


def _bundle_task(services: Services, request: TaskRequest) -> BundleTask:
    catalogue = services.catalogue.now()
    found = catalogue.find(request.task, request.bundle)
    if found:
        return found
    offering = catalogue.offering(request.task)
    if not offering:
        raise Problem(
            503, f"No bundle offers {request.task}. Train or import one into the weights folder."
        )
    name = request.bundle or catalogue.default(request.task)
    raise Problem(
        422, f"No bundle {name!r} offers {request.task}; there are: {', '.join(offering)}."
    )


def _method(found: BundleTask, method: str | None) -> str:
    if method is not None and method not in found.methods:
        offered = ", ".join(found.methods)
        raise Problem(
            422, f"Bundle {found.bundle!r} does not offer method {method!r}; there are: {offered}."
        )
    return method or found.method


def _check_possible(found: BundleTask, request: TaskRequest) -> None:
    why = found.why_unexplained(request.method or found.method) if request.explain else None
    why = why or found.why_not(request.size)
    if why:
        raise Problem(422, why)


def _check_candidates(found: BundleTask, request: TaskRequest) -> None:
    if getattr(request, "candidates", 1) > 1 and not found.can_choose:
        raise Problem(
            422,
            f"Bundle {found.bundle!r} lacks {CHOSEN_BY}, which would choose among candidates; "
            "leave candidates out, or add it to the bundle.",
        )


def _normalize(
    services: Services, caller: Caller, task: type[TaskRequest], pictures: Mapping[str, Picture]
) -> tuple[dict[str, bytes], list[str]]:
    raw = {name: _bytes(services, caller, name, picture) for name, picture in pictures.items()}
    photo: Image.Image | None = None
    photo_data = b""
    normalized, told = dict[str, bytes](), list[str]()
    for spec in task.images:
        picture, data = pictures[spec.name], raw[spec.name]
        if spec.kind == "photo":
            image = photo = decode_photo(data, spec.name, services.limits)
            photo_data = data
        else:
            mask = _mask(services, spec.name, picture, data, photo, photo_data)
            image, told = mask.image, [*told, *mask.warnings]
        normalized[spec.name] = encode(image)
    return normalized, told


def _mask(
    services: Services,
    name: str,
    picture: Picture,
    data: bytes,
    photo: Image.Image | None,
    photo_data: bytes,
) -> Mask:
    assert photo is not None  # noqa: S101 (a mask follows its photo in every task)
    if isinstance(picture, Alpha):
        mask = alpha_mask(photo_data, "the photo", services.limits)
    elif isinstance(picture, AlphaOf):
        mask = alpha_mask(data, name, services.limits, "save it with the hole erased to alpha 0")
    elif isinstance(picture, Box):
        mask = box_mask(picture.box, photo.size)
    else:
        mask = read_mask(data, name, services.limits)
    check_mask(mask.image, photo, mask.marks)
    return mask


def _bytes(services: Services, caller: Caller, name: str, picture: Picture) -> bytes:
    if isinstance(picture, Bytes | AlphaOf):
        return picture.data
    if isinstance(picture, Earlier):
        return _earlier(services, caller, name, picture)
    return b""


def _earlier(services: Services, caller: Caller, name: str, picture: Earlier) -> bytes:
    job = caller.seen(services.store.get(picture.job_id))
    where = f"/jobs/{picture.job_id}/images/{picture.index}"
    if job is None or job.status is Status.expired:
        raise Problem(
            422, f"{name}: there is no {where} any more, or there never was; send a picture."
        )
    if not job.status.final:
        raise Problem(
            409,
            f"{name}: {where} is not finished yet; wait for that job first.",
            headers={"Retry-After": "1"},
        )
    record = next((i for i in job.images if i.index == picture.index and not i.error), None)
    if record is None:
        raise Problem(422, f"{name}: that job has no image {picture.index}.")
    try:
        return services.blobs.get(record.blob)
    except BlobMissing as error:
        raise Problem(422, f"{name}: {where} has been erased.") from error
