"""What a client asks for beside the task, how long to wait and in which form to answer; and stored
pictures as HTTP answers.
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

from anyio import Lock
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.gateway.decoders import QUICK_PIXELS
from app.gateway.problems import Problem
from app.gateway.services import Services
from jobs.ai_mark import read_mark
from jobs.blobs import BlobStore
from jobs.errors import BlobMissing
from jobs.images import EXTENSION, encode
from jobs.job import ErrorCode, ImageRecord, Job, Status

_PREFER_WAIT = re.compile(
    r"(?:^|[,;\s])wait\s*=\s*(?P<quote>\"?)(\d+(?:\.\d+)?)(?P=quote)(?![^,;\s])",
    re.IGNORECASE | re.ASCII,
)
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
_SYNONYMS = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}


def header_list(request: Request, name: str) -> str:
    """A header that is a list, which may come in several lines (RFC 9110, section 5.3)."""
    return ", ".join(request.headers.getlist(name))


def has_current(request: Request, tag: str) -> bool:
    """Whether If-None-Match names the entity tag ``tag``, or any: the client has that already."""
    given = header_list(request, "if-none-match")
    return given.strip() == "*" or tag.removeprefix("W/") in _ENTITY_TAG.findall(given)


def wait_seconds(request: Request, longest: float) -> float | None:
    """``?wait=N``, else ``Prefer: wait=N`` (RFC 7240), cut at ``longest``; None when not asked
    for.
    """
    given = request.query_params.get("wait")
    if given is None:
        found = _PREFER_WAIT.search(header_list(request, "prefer"))
        return min(float(found[2]), longest) if found else None
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise Problem(422, f"wait must be a number of seconds from 0 to {longest:.0f}.")
    return min(seconds, longest)


def accepted_types(request: Request) -> list[str]:
    """Media types of the Accept header, most wanted first; empty when the header is absent."""
    weighted = []
    for place, part in enumerate(header_list(request, "accept").split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if name and weight > 0:
            weighted.append((-weight, place, _SYNONYMS.get(name, name)))
    return [name for _, _, name in sorted(weighted)]


def preferred_image_format(request: Request) -> str | None:
    """The picture format that the client prefers to JSON: png, jpeg, webp, "any", or None."""
    for name in accepted_types(request):
        if name == "image/*":
            return "any"
        if name.startswith("image/") and name.removeprefix("image/") in EXTENSION:
            return name.removeprefix("image/")
        if name in ("application/json", "*/*", "text/html"):
            return None
    return None


# What a picture may come as, for the OpenAPI document.
IMAGE_CONTENT: dict[str, dict[str, Any]] = {
    f"image/{name}": {"schema": {"type": "string", "format": "binary"}}
    for name in ("png", "jpeg", "webp", "gif")
}
SMALL = 512 * 512  # pixels of a picture that is read as a whole
_LINK_SHARE = 4  # one address is read by a quarter of as many as one caller may read
_CLIENT_ERRORS = (ErrorCode.bad_input, ErrorCode.no_known_words, ErrorCode.unknown_bundle)


async def require_not_erased(services: Services, job_id: str) -> None:
    """Problem 410 if the job's pictures were erased, be it a moment ago; what is missing of any
    other is a fault of the storage.
    """
    job = await services.get_job(job_id)
    if job is None or job.erasing or job.status is Status.expired:
        raise Problem(410, "This picture has been erased.")


async def image_response(
    services: Services,
    job_id: str,
    record: ImageRecord,
    wanted: str,
    who: str,
    link: str = "",
) -> Response:
    """The picture as stored, or re-encoded when another format is wanted; see
    :func:`served_format`. A large one leaves storage as its reader takes it. ``who``: by whom it is
    counted, and ``link``: the address, when it needs no key. Raises Problem 429.
    """
    extension = served_format(record, wanted)
    headers = image_headers(record, extension, services.settings.result_ttl)
    media_type = f"image/{extension}"
    try:
        if extension == record.format and is_small(record):
            return Response(await services.get_blob(record.blob), 200, headers, media_type)
        with hold_download(services, who, link) as held:
            size, parts = await _opened(services, record, extension, who)
            headers["Content-Length"] = str(size)
            return Download(parts, headers, media_type, held.pop_all())
    except BlobMissing:
        await require_not_erased(services, job_id)
        raise


def is_small(record: ImageRecord) -> bool:
    """It is read as a whole, and not counted."""
    return record.width * record.height * record.frames <= SMALL


@contextmanager
def hold_download(services: Services, who: str, link: str = "") -> Iterator[ExitStack]:
    """One of the large answers that ``who`` reads at a time, and one of ``link`` unless that is
    empty. What is popped off the stack is given back later. Raises Problem 429.
    """
    refusal = (
        "{limit} large answers are being read already, which is all one caller or address may have "
        "at a time. Read them first."
    )
    with ExitStack() as held:
        held.enter_context(services.downloads.hold(who, refusal, 2))
        if link:
            held.enter_context(services.downloads.hold(link, refusal, 2, _LINK_SHARE))
        yield held


class Download(StreamingResponse):
    """An answer that is read from storage as its reader takes it; ``held`` is given back at its
    end.
    """

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        headers: Mapping[str, str],
        media_type: str,
        held: AbstractContextManager[object],
    ) -> None:
        super().__init__(parts, 200, headers, media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


async def _opened(
    services: Services, record: ImageRecord, extension: str, who: str
) -> tuple[int, AsyncIterator[bytes]]:
    """The picture's bytes. A conversion is made once and kept beside the picture, by one of a
    caller's requests at a time.
    """
    if extension == record.format:
        return await services.open_blob(record.blob)
    key = f"{record.blob}.{extension}"
    turn = services.converting.setdefault(who, Lock())
    async with turn:
        try:
            return await services.open_blob(key)
        except BlobMissing:
            convert = partial(_convert, services.blobs, record.blob, key, extension)
            quick = record.width * record.height <= QUICK_PIXELS
            await services.decoders.run(who, convert, quick=quick)
    return await services.open_blob(key)


def served_format(record: ImageRecord, wanted: str) -> str:
    """The format in which a picture is sent. An animation is sent as it is, and no still picture is
    made a GIF, which would take its colours.
    """
    as_it_is = wanted in ("any", "gif") or record.frames > 1
    return record.format if as_it_is else wanted


def job_failure_problem(job: Job, headers: Mapping[str, str] | None = None) -> Problem:
    """Why a job that is over has no picture to answer with."""
    if job.error:
        status, detail = 422 if job.error.code in _CLIENT_ERRORS else 500, job.error.detail
    elif job.status is Status.canceled:
        status, detail = 409, "The job was canceled before its pictures were made."
    else:
        status, detail = 410, "The job's pictures have been erased."
    return Problem(status, detail, headers=headers, job=job.id)


def image_headers(record: ImageRecord, extension: str, lifetime: float) -> dict[str, str]:
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


def _convert(blobs: BlobStore, source: str, target: str, extension: str) -> None:
    with Image.open(io.BytesIO(blobs.get(source))) as image:  # our own encoding, not an upload
        whole = image if image.mode == "RGB" else image.convert("RGB")
        blobs.put(target, encode(whole, extension, read_mark(image)))
    if not blobs.exists(source):  # erased meanwhile, and so is all that comes of it
        blobs.delete_prefix(target)
