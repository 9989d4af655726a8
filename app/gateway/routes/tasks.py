"""``POST /{task}`` for every task of the registry: forms, JSON and OpenAPI all come from its
request class.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.gateway.api_document import request_body
from app.gateway.auth import Caller
from app.gateway.dependencies import Submitter, get_services
from app.gateway.idempotency import HEADER, PATTERN, read_idempotency_key
from app.gateway.image_responses import (
    IMAGE_CONTENT,
    image_response,
    job_failure_problem,
    preferred_image_format,
    wait_seconds,
)
from app.gateway.middleware import release_upload_memory
from app.gateway.services import Services
from app.gateway.submission import Submission, submit
from app.gateway.subscriptions import JobSubscription
from app.gateway.uploads import is_json, read_request
from app.gateway.views import JobView, json_response
from jobs.job import Job, Status, new_id
from jobs.requests import TASKS, TaskRequest


def router() -> APIRouter:
    """One route per registered task."""
    made = APIRouter(tags=["tasks"])
    for task in TASKS.values():
        _add(made, task)
    return made


def _add(made: APIRouter, task: type[TaskRequest]) -> None:
    async def post(request: Request, caller: Submitter) -> Response:
        caller.require_scope(task.task)
        return await _accept(request, caller, task)

    made.add_api_route(
        f"/{task.task}",
        post,
        methods=["POST"],
        status_code=202,
        name=task.task,
        summary=task.summary,
        description=task.__doc__,
        response_model=None,
        responses=_RESPONSES,
        openapi_extra={
            "requestBody": request_body(
                {
                    "application/json": f"{task.__name__}Request",
                    "multipart/form-data": f"{task.__name__}Form",
                }
            ),
            "parameters": [_WAIT_PARAMETER, _KEY_PARAMETER],
        },
    )


_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"model": JobView, "description": "accepted; poll the URL in Location"},
    200: {
        "model": JobView,
        # The first is what generated clients read.
        "content": {"application/json": {}, **IMAGE_CONTENT},
        "description": "the finished job or, if Accept asks for an image, its first image",
    },
}
_WAIT_PARAMETER = {
    "name": "wait",
    "in": "query",
    "required": False,
    "description": "seconds to wait for the end of the job, up to 60",
    "schema": {"type": "number", "minimum": 0},
    "example": 30,
}

_KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "a random value; the same request sent again with it returns the same job",
    "schema": {"type": "string", "pattern": PATTERN, "examples": ["order-4711-bird"]},
}


async def _accept(request: Request, caller: Caller, task: type[TaskRequest]) -> Response:
    services = await get_services(request)
    seconds = wait_seconds(request, services.settings.max_wait)
    fields, pictures = await read_request(request, task, services.decoders, caller.rate_limit_key)
    key = await read_idempotency_key(request, services, caller, fields, pictures)
    job_id, strict = new_id(), is_json(request)
    with services.subscriptions.subscribe(job_id) as subscription:
        accepted = await submit(
            services, caller, task, fields, pictures, key, strict=strict, job_id=job_id
        )
        pictures.clear()
        release_upload_memory(request)
        return await _respond(request, services, caller, accepted, seconds, subscription)


async def _respond(
    request: Request,
    services: Services,
    caller: Caller,
    accepted: Submission,
    seconds: float | None,
    subscription: JobSubscription,
) -> Response:
    job = accepted.job
    headers = {"Location": f"{services.settings.root_path}/jobs/{job.id}"}
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    if seconds is not None:
        wanted = preferred_image_format(request)
        if wanted and seconds and not await services.has_seen_worker():
            # The networks are still being loaded, and who asks for a picture can do nothing with
            # a job.
            seconds = services.settings.max_wait
        who, known = caller.rate_limit_key, None if accepted.replayed else job
        watching: AbstractContextManager[JobSubscription] = nullcontext(subscription)
        if accepted.replayed:  # that is not the job which was subscribed to
            watching = services.subscriptions.subscribe(job.id)
        with watching as watched:
            ended, waited = await services.wait_until_final(watched, seconds, who, known)
        job = ended or job
        if waited:
            headers["Preference-Applied"] = f"wait={seconds:g}"
        if wanted and job.status.final:
            return await _first_image(services, caller, job, wanted, headers)
    if not job.status.final:
        headers["Retry-After"] = "1"
    view = await services.job_view(job)
    return json_response(view, 200 if job.status.final else 202, headers)


async def _first_image(
    services: Services, caller: Caller, job: Job, wanted: str, headers: dict[str, str]
) -> Response:
    if job.status is not Status.succeeded:
        raise job_failure_problem(job, headers)
    record = next(i for i in job.images if not i.error)
    response = await image_response(services, job.id, record, wanted, caller.rate_limit_key)
    response.headers.update(headers)
    return response
