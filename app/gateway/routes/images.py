"""``GET /jobs/{id}/images/{n}``: the pictures themselves, and what explains them."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.gateway.auth import Caller
from app.gateway.dependencies import ImageIndex, JobId, Reader, ServicesDependency
from app.gateway.image_responses import (
    IMAGE_CONTENT,
    accepted_types,
    cache_headers,
    etag,
    has_current,
    image_headers,
    image_response,
    preferred_image_format,
    require_not_erased,
    served_format,
)
from app.gateway.problems import Problem
from app.gateway.routes.jobs import require_job
from app.gateway.services import Services
from jobs.errors import BlobMissing
from jobs.explanation import ExplanationView
from jobs.job import ImageRecord

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/images/{index}",
    summary="Get an image",
    response_class=Response,
    responses={200: {"content": IMAGE_CONTENT}},
)
async def get_image(
    job_id: JobId, index: ImageIndex, request: Request, services: ServicesDependency, caller: Reader
) -> Response:
    """The image in the format that it was requested in, or in the one that Accept prefers."""
    record = await _record(services, caller, job_id, index)
    wanted = preferred_image_format(request) or "any"
    if wanted == record.format or _accepts_stored_format(request, record.format):
        wanted = "any"
    extension = served_format(record, wanted)
    if has_current(request, etag(record, extension)):
        headers = image_headers(record, extension, services.settings.result_ttl)
        return Response(status_code=304, headers=headers)
    return await image_response(services, job_id, record, wanted, caller.rate_limit_key)


@router.get(
    "/jobs/{job_id}/images/{index}/explanation",
    summary="Get the explanation of an image",
    response_model=ExplanationView,
)
async def get_explanation(
    job_id: JobId, index: ImageIndex, request: Request, services: ServicesDependency, caller: Reader
) -> Response:
    """Heat maps of where each word acted on an image whose request had ``explain``."""
    record = await _record(services, caller, job_id, index)
    if not record.explanation:
        number = record.index + 1
        raise Problem(
            404, f"Image {number} was not explained; send the request again with explain true."
        )
    try:
        data = await services.get_blob(record.explanation)
    except BlobMissing:
        await require_not_erased(services, job_id)
        raise
    tag = f'"{hashlib.sha256(data).hexdigest()}"'
    headers = cache_headers(tag, services.settings.result_ttl)
    if has_current(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(data, 200, headers, "application/json")


async def _record(services: Services, caller: Caller, job_id: str, index: str) -> ImageRecord:
    """The picture, if it was made and the caller may see it."""
    job = require_job(caller.get_visible(await services.get_job(job_id)))
    if not job.status.final:
        raise Problem(409, "The job is not finished yet; wait for it first.", retry_after=1)
    record = next((i for i in job.images if str(i.index) == index), None)
    if record is None:
        raise Problem(
            404,
            f"This job has {len(job.images)} images, which URLs count from 0; there is no "
            f"/images/{index[:20]}.",
        )
    if record.error:
        raise Problem(404, f"Image {record.index + 1} was not made: {record.error.detail}")
    return record


def _accepts_stored_format(request: Request, extension: str) -> bool:
    """Whether the client names the stored format, or leaves the choice open (as browsers do)."""
    types = accepted_types(request)
    return f"image/{extension}" in types[:1] or "*/*" in types or "image/*" in types[:1]
