"""``GET /jobs/{id}/images/{n}``: the pictures themselves."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth import Reader
from app.deps import Given
from app.pictures import etag, picture_headers, picture_response
from app.preferences import accepted_types, wanted_image
from app.problems import Problem
from app.routes.jobs import known

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/images/{index}",
    summary="Get a picture",
    response_class=Response,
    responses={200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}}},
)
async def get(
    job_id: str, index: str, request: Request, services: Given, caller: Reader
) -> Response:
    """The picture's bytes, in its own format or in the one that Accept prefers."""
    job = known(caller.seen(await services.look(job_id)))
    if not job.status.final:
        raise Problem(
            409, "The job is not finished yet; wait for it first.", headers={"Retry-After": "1"}
        )
    record = next((i for i in job.images if str(i.index) == index), None)
    if record is None:
        raise Problem(
            404, f"This job has {len(job.images)} pictures, and none numbered {index[:20]}."
        )
    if record.error:
        raise Problem(404, f"Picture {index} was not made: {record.error.detail}")
    wanted = wanted_image(request) or "any"
    if wanted == record.format or _takes(request, record.format):
        wanted = "any"
    extension = record.format if wanted == "any" else wanted
    if etag(record, extension) in request.headers.get("if-none-match", ""):
        headers = picture_headers(record, extension, services.settings.result_ttl)
        return Response(status_code=304, headers=headers)
    return await picture_response(services, record, wanted)


def _takes(request: Request, extension: str) -> bool:
    """Whether the client names the stored format, or leaves the choice open (as browsers do)."""
    types = accepted_types(request)
    return f"image/{extension}" in types[:1] or "*/*" in types or "image/*" in types[:1]
