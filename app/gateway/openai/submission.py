"""From a request under ``/v1/images`` to its finished job, on the way that every job takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

import anyio
from anyio import to_thread
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.gateway.auth import Caller
from app.gateway.idempotency import HEADER, once_key
from app.gateway.image_responses import unsuccessful
from app.gateway.openai.requests import ImagesRequest, in_their_words
from app.gateway.problems import Problem, unusable
from app.gateway.services import Services
from app.gateway.submission import Accepted, submit
from app.gateway.uploads import Bytes, Picture
from jobs.images import decode_photo
from jobs.job import Job, Status
from jobs.requests import SIZES, TASKS

_SLICE = 15.0  # seconds between two signs of life to a client that waits


async def submitted(
    request: Request,
    services: Services,
    caller: Caller,
    asked: ImagesRequest,
    pictures: Mapping[str, Picture],
) -> Accepted:
    """The job: /inpaint for a photo and a mask, /manipulate for a photo, else /synthesize."""
    task = "inpaint" if "mask" in pictures else "manipulate" if pictures else "synthesize"
    caller.require(task)
    asked = _with_own_model(asked, services.settings.openai_models)
    await run_in_threadpool(_check_model, services, task, asked)
    fields = asked.own_fields() | await _size(services, task, asked, pictures)
    memory = services.settings.idempotency_ttl
    once = await run_in_threadpool(once_key, request, fields, pictures, memory, caller.owner)
    try:
        return await submit(services, caller, TASKS[task], fields, pictures, once)
    except Problem as problem:
        raise in_their_words(problem) from problem


def _with_own_model(asked: ImagesRequest, names: Mapping[str, str]) -> ImagesRequest:
    """With the bundle that stands for the model named."""
    own = names.get(asked.model or "", asked.model)
    return asked.model_copy(update={"model": own or None})


def _check_model(services: Services, task: str, asked: ImagesRequest) -> None:
    catalogue = services.catalogue.now()
    if asked.model is None or catalogue.find(task, asked.model):
        return
    raise Problem(
        404,
        f"No model {asked.model[:100]!r} can {task}; there are: "
        f"{', '.join(catalogue.offering(task)) or 'none'}. Leave model out for the default one.",
        code="model_not_found",
        errors=[{"field": "model", "detail": "does not exist"}],
    )


async def _size(
    services: Services, task: str, asked: ImagesRequest, pictures: Mapping[str, Picture]
) -> dict[str, int]:
    """The field ``size`` of the task, where it is to be sent. Raises Problem for a size that is not
    made.
    """
    if asked.size in (None, "auto"):
        return {}
    photo = pictures.get("image")
    if isinstance(photo, Bytes):
        read = partial(decode_photo, photo.data, "image", services.limits)
        width, height = (await to_thread.run_sync(read, limiter=services.decoders)).size
        _check_size(asked, [f"{width}x{height}"], "can't be chosen: an edit keeps the photo's size")
        return {}
    found = services.catalogue.now().find(task, asked.model)
    if found is None:
        return {}  # the submission says so
    sides = {f"{side}x{side}": {"size": side} for side in SIZES if side <= found.largest}
    sides = sides or {f"{found.size}x{found.size}": {}}
    _check_size(asked, [*sides], f"is not a size that model {found.bundle!r} makes")
    return sides[str(asked.size)]


def _check_size(asked: ImagesRequest, offered: Sequence[str], why: str) -> None:
    if asked.size not in offered:
        detail = f"{why}. Leave it out, or send auto or {' or '.join(offered)}"
        raise unusable([{"field": "size", "detail": detail}])


async def waiting(request: Request, services: Services, job: Job) -> AsyncIterator[Job]:
    """The job as it is, every 15 seconds, and at last when it has succeeded; Problem otherwise."""
    left = services.settings.openai_wait
    while not job.status.final and left > 0 and not services.waiters.closing:
        yield job
        job = await services.waiters.until_final(job.id, services.look, min(left, _SLICE)) or job
        left -= _SLICE
    yield job
    if not job.status.final:
        raise _unfinished(services, _can_come_back(request))
    if job.status is not Status.succeeded:
        raise unsuccessful(job, {"X-Should-Retry": "false"})


async def finished(request: Request, services: Services, accepted: Accepted) -> Job:
    """The job once it has succeeded; Problem otherwise, also when its client has gone away."""
    ending = asyncio.create_task(_ended(request, services, accepted.job))
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({ending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            raise Problem(408, "The client did not wait for its pictures.")
        return ending.result()
    finally:
        leaving.cancel()
        ending.cancel()


async def _ended(request: Request, services: Services, job: Job) -> Job:
    try:
        async for now in waiting(request, services, job):
            job = now
    finally:
        await abandon(request, services, job)
    return job


async def _gone(request: Request) -> None:
    """Returns when the client closes its connection; its body has been read by now."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def abandon(request: Request, services: Services, job: Job) -> None:
    """Spare the work that nobody will see."""
    if not job.status.final and not _can_come_back(request):
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(services.store.cancel, job.id)


def _can_come_back(request: Request) -> bool:
    """Whether the same request, sent again, finds the same job."""
    return HEADER in request.headers


def _unfinished(services: Services, goes_on: bool) -> Problem:
    if services.waiters.closing:
        return Problem(
            503, "The service is being restarted. Send it again.", headers={"Retry-After": "2"}
        )
    seconds = services.settings.openai_wait
    return Problem(
        504,
        f"The pictures were not made within {seconds:.0f} s, because much is being asked of the "
        "service. Try again later, or use its own routes, which do not wait (GET /docs).",
        headers={"Retry-After": "1" if goes_on else "120"},
    )
