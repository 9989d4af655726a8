"""``POST /{task}`` for every task of the registry: forms, JSON and OpenAPI all come from its
request class.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.gateway.auth import Caller
from app.gateway.dependencies import Submitter, services_of
from app.gateway.idempotency import HEADER, PATTERN, once_key
from app.gateway.image_responses import CONTENT, picture_response, unsuccessful
from app.gateway.middleware import release_body
from app.gateway.preferences import wait_seconds, wanted_image
from app.gateway.services import Services, Waited
from app.gateway.submission import Accepted, submit
from app.gateway.subscriptions import Watch
from app.gateway.uploads import is_json, read
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
        caller.require(task.task)
        services = services_of(request)
        seconds = wait_seconds(request, services.settings.max_wait)
        fields, pictures = await read(request, task, services.decoders)
        memory = services.settings.idempotency_ttl
        once = None
        if HEADER in request.headers:
            made = partial(once_key, request, fields, pictures, memory, caller.owner)
            once = await to_thread.run_sync(made, limiter=services.decoders if pictures else None)
        job_id = new_id()
        with services.waiters.watch(job_id) as watch:
            accepted = await submit(
                services,
                caller,
                task,
                fields,
                pictures,
                once,
                strict=is_json(request),
                job_id=job_id,
            )
            pictures.clear()
            release_body(request)
            return await _answer(request, services, caller, accepted, seconds, watch)

    made.add_api_route(
        f"/{task.task}",
        post,
        methods=["POST"],
        status_code=202,
        name=task.task,
        summary=task.summary,
        response_model=None,
        responses={
            202: {"model": JobView, "description": "accepted; poll Location"},
            200: {
                "model": JobView,
                "content": CONTENT,
                "description": "finished, when asked to wait; or the first picture itself",
            },
        },
        openapi_extra={
            "requestBody": _body_schema(task),
            "parameters": [_WAIT_PARAMETER, _KEY_PARAMETER],
        },
    )


_WAIT_PARAMETER = {
    "name": "wait",
    "in": "query",
    "required": False,
    "description": "seconds to wait for the end of the job, up to 60",
    "schema": {"type": "number", "minimum": 0},
}

_KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "a random value of yours; sent again with the same request, it gives the same "
    "job instead of a new one",
    "schema": {"type": "string", "pattern": PATTERN},
}


async def _answer(
    request: Request,
    services: Services,
    caller: Caller,
    accepted: Accepted,
    seconds: float | None,
    watch: Watch,
) -> Response:
    job = accepted.job
    headers = {"Location": f"/jobs/{job.id}"}
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    if seconds is not None:
        waited = await _waited(services, caller, accepted, seconds, watch)
        job = waited.job or job
        if waited.applied:
            headers["Preference-Applied"] = f"wait={seconds:g}"
        wanted = wanted_image(request)
        if wanted and job.status.final:
            return await _picture(services, caller, job, wanted, headers)
    if not job.status.final:
        headers["Retry-After"] = "1"
    view = await services.job_view(job)
    return json_response(view, 200 if job.status.final else 202, headers)


async def _waited(
    services: Services, caller: Caller, accepted: Accepted, seconds: float, watch: Watch
) -> Waited:
    if not accepted.replayed:
        return await services.wait(watch, seconds, caller.name, accepted.job)
    with services.waiters.watch(accepted.job.id) as earlier:
        return await services.wait(earlier, seconds, caller.name)


async def _picture(
    services: Services, caller: Caller, job: Job, wanted: str, headers: dict[str, str]
) -> Response:
    """The first picture itself."""
    if job.status is not Status.succeeded:
        raise unsuccessful(job, headers)
    record = next(i for i in job.images if not i.error)
    response = await picture_response(services, record, wanted, caller.name)
    response.headers.update(headers)
    return response


def _mask_schemas(text: str) -> list[dict[str, Any]]:
    text += '; or "alpha" for the photo\'s own transparency, or a box "x,y,width,height"'
    side = {"type": "integer", "minimum": 0}
    return [
        {"type": "string", "minLength": 1, "description": text},
        {"type": "array", "minItems": 4, "maxItems": 4, "items": side, "description": "a box"},
    ]


def _without_references(schema: Any, named: Mapping[str, Any]) -> Any:
    """The schema with what it refers to written out, so that it stands on its own."""
    if isinstance(schema, list):
        return [_without_references(part, named) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_references(named[schema["$ref"].rpartition("/")[2]], named)
    return {key: _without_references(part, named) for key, part in schema.items()}


def _body_schema(task: type[TaskRequest]) -> dict[str, Any]:
    schema = task.model_json_schema()
    schema = _without_references(schema, schema.pop("$defs", {}))
    schema.pop("title", None)
    properties = schema["properties"]
    as_json = {**schema, "properties": dict(properties)}
    as_form = {**schema, "properties": task.form_properties(properties)}
    for spec in task.images:
        text = f"{spec.description}; base64, a data URL or the path of an earlier job's image"
        as_json["properties"][spec.name] = {"type": "string", "minLength": 1, "description": text}
        if spec.kind == "mask":
            as_json["properties"][spec.name] = {"anyOf": _mask_schemas(text)}
        as_form["properties"][spec.name] = {
            "type": "string",
            "format": "binary",
            "description": spec.description,
        }
    names = [spec.name for spec in task.images]
    for made in (as_json, as_form):
        made["required"] = [*schema.get("required", []), *names]
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": as_form},
            "application/json": {"schema": as_json},
        },
    }
