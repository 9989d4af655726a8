"""From a request under ``/v1/images`` to its finished job, on the way that every job takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app.gateway.auth import Caller
from app.gateway.idempotency import HEADER, read_idempotency_key
from app.gateway.image_responses import job_failure_problem
from app.gateway.openai.requests import ImagesRequest, rename_fields_for_client
from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.submission import Submission, submit
from app.gateway.uploads import ImageInput
from jobs.job import Job, Status
from jobs.requests import SIZES, TASKS

_KEEPALIVE_SECONDS = 15.0  # seconds between two signs of life to a client that waits


async def submit_images_request(
    request: Request,
    services: Services,
    caller: Caller,
    body: ImagesRequest,
    pictures: Mapping[str, ImageInput],
) -> Submission:
    """The job: /inpaint for a photo and a mask, /manipulate for a photo, else /synthesize."""
    task = "inpaint" if "mask" in pictures else "manipulate" if pictures else "synthesize"
    caller.require_scope(task)
    own_model = services.settings.openai_models.get(body.model or "", body.model)
    body = body.model_copy(update={"model": own_model or None})
    await run_in_threadpool(_check_model, services, task, body)
    fields = body.task_fields() | ({} if pictures else _generated_size(services, task, body))
    key = await read_idempotency_key(request, services, caller, fields, pictures)
    try:
        return await submit(services, caller, TASKS[task], fields, pictures, key)
    except Problem as problem:
        raise rename_fields_for_client(problem) from problem


def _check_model(services: Services, task: str, body: ImagesRequest) -> None:
    catalogue = services.catalogue.current()
    if body.model is None or catalogue.find(task, body.model):
        return
    names = ", ".join(catalogue.bundles_offering(task)) or "none"
    raise Problem(
        404,
        f"No model {body.model[:100]!r} can {task}; there are: {names}. Leave model out for the "
        "default one.",
        code="model_not_found",
        errors=[{"field": "model", "detail": "does not exist"}],
    )


def _generated_size(services: Services, task: str, body: ImagesRequest) -> dict[str, int]:
    """The field ``size`` of the task: the bundle's least side that needs no enlarging, or else its
    largest. Empty when the bundle decides.
    """
    target, found = body.target_size(), services.catalogue.current().find(task, body.model)
    sides = [side for side in SIZES if found and side <= found.max_size]
    if target is None or not sides:
        return {}
    long_side = max(target.width, target.height)
    return {"size": next((side for side in sides if side >= long_side), sides[-1])}


async def poll_job(request: Request, services: Services, job: Job, who: str) -> AsyncGenerator[Job]:
    """The job as it is, every 15 seconds, and at last when it has succeeded; Problem otherwise, and
    when ``who`` asks has lost the right to. Whoever leaves before its end spares the work that
    nobody will see, unless the same request, sent again, finds the same job.
    """
    left, resumable = services.settings.openai_wait, HEADER in request.headers
    try:
        with services.subscriptions.subscribe(job.id) as watch:
            while not job.status.final and left > 0 and not services.subscriptions.closing:
                yield job
                seconds = min(left, _KEEPALIVE_SECONDS)
                job = await watch.wait_until_final(services.get_job, seconds, who) or job
                left -= seconds
        yield job
        if not job.status.final:
            raise _timeout_problem(services, resumable)
        if job.status is not Status.succeeded:
            raise job_failure_problem(job, {"X-Should-Retry": "false"})
    finally:
        if not job.status.final and not resumable:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(services.store.cancel, job.id)


async def wait_for_success(request: Request, services: Services, job: Job, who: str) -> Job:
    """The job once it has succeeded; Problem otherwise, also when its client has gone away."""

    async def poll_until_final() -> Job:
        states = [state async for state in poll_job(request, services, job, who)]
        return states[-1]

    ending = asyncio.create_task(poll_until_final())
    leaving = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({ending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            raise Problem(408, "The client did not wait for its pictures.")
        return ending.result()
    finally:
        leaving.cancel()
        ending.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    """Returns when the client closes its connection; its body has been read by now."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _timeout_problem(services: Services, resumable: bool) -> Problem:
    if services.subscriptions.closing:
        return Problem(503, "The service is being restarted. Send it again.", retry_after=2)
    seconds = services.settings.openai_wait
    return Problem(
        504,
        f"The pictures were not made within {seconds:.0f} s, because much is being asked of the "
        "service. Try again later, or use its own routes, which do not wait (GET /docs).",
        retry_after=1 if resumable else 120,
    )
