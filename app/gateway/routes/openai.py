"""``/v1``: the tasks in the shape of the OpenAI Images API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.gateway.api_document import request_body
from app.gateway.auth import Caller
from app.gateway.dependencies import BundleName, JobId, ServicesDependency, Submitter, caller
from app.gateway.image_responses import (
    IMAGE_CONTENT,
    Download,
    hold_download,
    image_headers,
    image_response,
)
from app.gateway.middleware import release_upload_memory
from app.gateway.openai.errors import PREFIX, RESPONSES
from app.gateway.openai.requests import ImagesRequest, read_edit, read_generation
from app.gateway.openai.responses import ImagesAnswer, UrlSigner, linked_name
from app.gateway.openai.scaling import Fit, TargetSize, stored_or_scaled
from app.gateway.openai.submission import submit_images_request, wait_for_success
from app.gateway.problems import Problem
from app.gateway.routes.jobs import require_job
from app.gateway.services import Services
from app.gateway.uploads import ImageInput

router = APIRouter(prefix=PREFIX, tags=["openai"], responses=RESPONSES)

_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "an ImagesResponse, or its events with `stream`",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
}


async def _hold_wait_slot(services: ServicesDependency, caller: Submitter) -> AsyncIterator[None]:
    """One of the caller's requests that may wait, for as long as the answer takes."""
    refusal = "{limit} of your requests are waiting already; let one end first."
    with services.wait_slots.hold(caller.rate_limit_key, refusal, 2):
        yield


@router.post(
    "/images/generations",
    summary="Generate images from a prompt",
    response_model=None,
    responses=_PICTURES,
    dependencies=[Depends(_hold_wait_slot)],
    openapi_extra={"requestBody": request_body({"application/json": "GenerationRequest"})},
)
async def openai_generate_images(
    request: Request, services: ServicesDependency, caller: Submitter
) -> Response:
    """Runs `/synthesize` and waits for the images."""
    body = await read_generation(request)
    return await _respond(request, services, caller, body, {})


@router.post(
    "/images/edits",
    summary="Edit a photo according to a prompt",
    response_model=None,
    responses=_PICTURES,
    dependencies=[Depends(_hold_wait_slot)],
    openapi_extra={"requestBody": request_body({"multipart/form-data": "EditRequest"})},
)
async def openai_edit_image(
    request: Request, services: ServicesDependency, caller: Submitter
) -> Response:
    """Runs `/inpaint` where the mask is transparent, without a mask `/manipulate`, and waits."""
    body, pictures = await read_edit(request)
    return await _respond(request, services, caller, body, pictures)


async def _respond(
    request: Request,
    services: Services,
    caller: Caller,
    body: ImagesRequest,
    pictures: dict[str, ImageInput],
) -> Response:
    kind = "image_edit" if pictures else "image_generation"
    accepted = await submit_images_request(request, services, caller, body, pictures)
    pictures.clear()
    release_upload_memory(request)
    headers = {"X-Request-ID": accepted.job.id}
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    answer = ImagesAnswer(request, services, body.target_size(), caller.rate_limit_key)
    if body.stream:
        headers |= {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        events = answer.events(accepted.job, kind)
        return StreamingResponse(events, 200, headers, "text/event-stream")
    job = await wait_for_success(request, services, accepted.job, caller.rate_limit_key)
    return await answer.response(job, body.response_format == "url", headers)


@router.get(
    "/images/{job_id}/{index}",
    summary="Get an image by its signed URL",
    response_class=Response,
    responses={200: {"content": IMAGE_CONTENT}},
)
async def openai_get_image(
    job_id: JobId,
    index: Annotated[int, Path(description="number of the image, from 0", examples=[0])],
    services: ServicesDependency,
    expires: Annotated[
        int, Query(ge=0, le=2**40, description="seconds since 1970", examples=[1764000000])
    ],
    signature: Annotated[str, Query(description="of all that the URL names", examples=["5f2c…"])],
    size: Annotated[
        str | None, Query(description="that the image is scaled to", examples=["512x512"])
    ] = None,
    fit: Annotated[Fit, Query(description="if the aspect differs", examples=["cover"])] = "cover",
) -> Response:
    """The image of a `url`. Whoever has that URL sees the image until the URL expires."""
    links = UrlSigner(services.store, services.settings.link_ttl)
    name = linked_name(job_id, index, size, fit)
    await run_in_threadpool(links.check, name, expires, signature)
    job = require_job(await run_in_threadpool(services.store.get, job_id))
    record = next((i for i in job.images if i.index == index and not i.error), None)
    if record is None:
        raise Problem(
            404,
            f"This job has {len(job.images)} images, which URLs count from 0; there is no {index}.",
        )
    who, link = f"links of {job.owner}", f"link {job_id}/{index}"
    target = TargetSize.parse(size or "", fit)
    if target is None or target.is_met_by(record):
        return await image_response(services, job_id, record, "any", who, link)
    with hold_download(services, who, link) as held:
        data = await stored_or_scaled(services, record, target, who)
        headers = image_headers(record, record.format, services.settings.result_ttl)
        headers["Content-Length"] = str(len(data))
        del headers["ETag"]  # it names the stored picture
        parts = _in_one_part(data)
        return Download(parts, headers, f"image/{record.format}", held.pop_all())


async def _in_one_part(data: bytes) -> AsyncIterator[bytes]:
    yield data


class OpenAIModel(BaseModel):
    """A bundle, as OpenAI's clients read a model."""

    id: str = Field(description="the bundle's name")
    object: Literal["model"] = Field(description="always model")
    created: int = Field(description="seconds since 1970")
    owned_by: Literal["mmml"] = Field(description="always mmml")
    tasks: list[str] = Field(description="what it does; this service's own field")


class OpenAIModels(BaseModel):
    """All bundles."""

    object: Literal["list"] = Field(description="always list")
    data: list[OpenAIModel] = Field(description="by name")


@router.get("/models", summary="List models", dependencies=[Depends(caller)])
def openai_list_models(services: ServicesDependency) -> OpenAIModels:
    """All bundles."""
    return OpenAIModels(object="list", data=_models(services))


@router.get("/models/{model}", summary="Get a model", dependencies=[Depends(caller)])
def openai_get_model(model: BundleName, services: ServicesDependency) -> OpenAIModel:
    """One bundle."""
    found = _models(services)
    for one in found:
        if one.id == model:
            return one
    names = ", ".join(one.id for one in found) or "none"
    raise Problem(404, f"There is no such model; there are: {names}.", code="model_not_found")


def _models(services: Services) -> list[OpenAIModel]:
    return [
        OpenAIModel(
            id=info.name,
            object="model",
            created=int((info.folder / "bundle.json").stat().st_mtime),
            owned_by="mmml",
            tasks=list(info.tasks),
        )
        for info in services.catalogue.current().bundles.values()
        if info.tasks
    ]
