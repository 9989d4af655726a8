"""Stored pictures as HTTP answers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from starlette.responses import Response

from app.deps import Services, off_loop
from app.problems import Problem
from jobs.errors import BlobMissing
from jobs.images import encode
from jobs.job import ErrorCode, ImageRecord, Job

# What a picture may come as, for the OpenAPI document.
CONTENT: dict[str, dict[str, Any]] = {
    f"image/{name}": {} for name in ("png", "jpeg", "webp", "gif")
}
_THEIR_FAULT = (ErrorCode.bad_input, ErrorCode.no_known_words, ErrorCode.unknown_bundle)


async def picture_response(
    services: Services, record: ImageRecord, wanted: str = "any"
) -> Response:
    """The picture as stored, or re-encoded when another format is wanted; see :func:`served`."""
    try:
        data = await services.blob(record.blob)
    except BlobMissing as error:
        raise Problem(410, "This picture has been erased.") from error
    extension = served(record, wanted)
    if extension != record.format:
        data = await off_loop(_converted, data, extension)
    return Response(
        data,
        200,
        picture_headers(record, extension, services.settings.result_ttl),
        f"image/{extension}",
    )


def served(record: ImageRecord, wanted: str) -> str:
    """The format in which a picture is sent. An animation is sent as it is, and no still picture is
    made a GIF, which would take its colours.
    """
    as_it_is = wanted in ("any", "gif") or record.frames > 1
    return record.format if as_it_is else wanted


def unsuccessful(job: Job, headers: Mapping[str, str] | None = None) -> Problem:
    """Why a job that is over has no pictures."""
    error = job.error
    status = 422 if error and error.code in _THEIR_FAULT else 500
    detail = error.detail if error else f"The job was {job.status}."
    return Problem(status, detail, headers=headers, job=job.id)


def picture_headers(record: ImageRecord, extension: str, lifetime: float) -> dict[str, str]:
    """Caching by content; nothing in a picture may be run by a browser."""
    return {
        **cache_headers(etag(record, extension), lifetime),
        "Vary": "Accept",
        "Content-Disposition": f'inline; filename="image-{record.index}.{extension}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def cache_headers(tag: str, lifetime: float) -> dict[str, str]:
    """What never changes may be kept by the client, and is nothing but what it says it is."""
    return {
        "ETag": tag,
        "Cache-Control": f"private, max-age={int(lifetime)}, immutable",
        "X-Content-Type-Options": "nosniff",
    }


def etag(record: ImageRecord, extension: str) -> str:
    suffix = "" if extension == record.format else f"-{extension}"
    return f'"{record.sha256}{suffix}"'


def _converted(data: bytes, extension: str) -> bytes:
    with Image.open(io.BytesIO(data)) as image:  # our own encoding, not an upload
        return encode(image.convert("RGB"), extension)
