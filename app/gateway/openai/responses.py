"""Finished jobs as an ``ImagesResponse``, or as the events of a stream."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, nullcontext
from typing import Any

from fastapi import Request
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from app.gateway.image_responses import Download, hold_download, is_small
from app.gateway.openai.errors import openai_error
from app.gateway.openai.scaling import TargetSize, stored_or_scaled
from app.gateway.openai.submission import poll_job
from app.gateway.problems import Problem, as_problem
from app.gateway.services import Services
from app.gateway.submission import Submission
from jobs.job import ImageRecord, Job
from jobs.redis_store import JobStore


class UrlSigner:
    """Signs and checks addresses. Methods block."""

    def __init__(self, store: JobStore, lifetime: float) -> None:
        self._store, self._lifetime = store, lifetime

    def sign(self, name: str) -> dict[str, str]:
        """The query of an address that works from now on; ``name`` is all that it serves."""
        expires = int(time.time() + self._lifetime)
        return {"expires": str(expires), "signature": self._signature(name, expires)}

    def check(self, name: str, expires: int, signature: str) -> None:
        """Problem 403 when the signature is not ours, 410 when its time is over."""
        right = self._signature(name, expires)
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
            raise Problem(403, "This address is not signed by this service; use it unchanged.")
        if time.time() >= expires:
            raise Problem(410, "This address has expired. GET /jobs lists your jobs' pictures.")

    def _signature(self, name: str, expires: int) -> str:
        secret = self._store.service_secret("links", secrets.token_hex(32))
        return hmac.digest(secret.encode(), f"{name} until {expires}".encode(), "sha256").hex()


def linked_name(job_id: str, index: int, size: str | None, fit: str | None) -> str:
    """What a signed address serves."""
    return f"{job_id}/{index}" + (f" {size} {fit}" if size else "")


JsonObject = dict[str, Any]


async def images_response(
    request: Request,
    services: Services,
    job: Job,
    target: TargetSize | None,
    as_url: bool,
    who: str,
    headers: Mapping[str, str],
) -> Response:
    """``job``, ``warnings`` and ``seed`` are this service's own. Large pictures leave storage as
    their reader takes them. ``who``: by whom they are counted.
    """
    made = [image for image in job.images if not image.error]
    first = made[0]
    links = [await _url_of(request, services, job, i, target) for i in made] if as_url else []
    held = [_B64_JSON] * len(made)
    content = {
        "created": int(job.finished_at or job.created_at),
        "data": [{**o, "seed": i.seed} for o, i in zip(links or held, made, strict=True)],
        "background": "opaque",
        "output_format": first.format,
        "size": _size(first, target),
        "job": job.id,
        "warnings": _warnings(job, first, target),
    }
    if as_url:
        return JSONResponse(content, 200, headers)
    parts = _with_pictures(services, content, made, target, who)
    if _all_small(made, target):
        whole = b"".join([part async for part in parts])
        return Response(whole, 200, headers, "application/json")
    with ExitStack() as counted:
        counted.enter_context(hold_download(services, who))
        return Download(parts, headers, "application/json", counted.pop_all())


_PLACE = secrets.token_hex(16)  # where a picture will stand; no client can know it
_B64_JSON = {"b64_json": _PLACE}


async def _with_pictures(
    services: Services,
    content: JsonObject,
    images: Sequence[ImageRecord],
    target: TargetSize | None,
    who: str,
) -> AsyncIterator[bytes]:
    """The JSON of ``content``, with one of ``images`` in each place, scaled to ``target``."""
    before, *after = json.dumps(content).encode().split(_PLACE.encode())
    yield before
    for image, text in zip(images, after, strict=True):
        async for part in _base64(_parts(services, image, target, who)):
            yield part
        yield text


async def _parts(
    services: Services, image: ImageRecord, target: TargetSize | None, who: str
) -> AsyncIterator[bytes]:
    if is_small(image) or (target and not target.is_met_by(image)):
        yield await stored_or_scaled(services, image, target, who)
        return
    _, parts = await services.open_blob(image.blob)
    async for part in parts:
        yield part


async def _base64(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for part in parts:
        whole = rest + part
        cut = len(whole) - len(whole) % 3
        rest = whole[cut:]
        yield base64.b64encode(whole[:cut])
    yield base64.b64encode(rest)


def _all_small(images: Sequence[ImageRecord], target: TargetSize | None) -> bool:
    return all(map(is_small, images)) and (target is None or target.is_small)


async def _url_of(
    request: Request, services: Services, job: Job, image: ImageRecord, target: TargetSize | None
) -> JsonObject:
    links = UrlSigner(services.store, services.settings.link_ttl)
    scaled = {} if target is None else {"size": str(target), "fit": target.fit}
    name = linked_name(job.id, image.index, scaled.get("size"), scaled.get("fit"))
    query = scaled | await run_in_threadpool(links.sign, name)
    path = request.url_for("openai_get_image", job_id=job.id, index=str(image.index))
    address = str(path.include_query_params(**query))
    here = str(request.base_url).rstrip("/")
    origin = services.settings.public_url or here
    return {"url": origin + services.settings.root_path + address.removeprefix(here)}


async def image_events(
    request: Request,
    services: Services,
    accepted: Submission,
    target: TargetSize | None,
    kind: str,
    who: str,
) -> AsyncIterator[bytes]:
    """``image_generation.completed`` or ``image_edit.completed``, once for each picture."""
    job = accepted.job
    try:
        async with aclosing(poll_job(request, services, job, who)) as states:
            async for job in states:
                if not job.status.final:
                    yield format_sse_event(comment="waiting")
        made = [image for image in job.images if not image.error]
        with nullcontext() if _all_small(made, target) else hold_download(services, who):
            for image in made:
                event = _completed(job, image, target, kind)
                yield f"event: {event['type']}\ndata: ".encode()
                async for part in _with_pictures(services, event, [image], target, who):
                    yield part
                yield b"\n\n"
    except Exception as error:  # the answer has begun, so it can only be reported within it
        _, _, openai_body = openai_error(as_problem(error).body(request.url.path), {})
        yield b"\n\n" + _event({"type": "error", **openai_body})  # also amid a picture


def _completed(job: Job, image: ImageRecord, target: TargetSize | None, kind: str) -> JsonObject:
    none = {"image_tokens": 0, "text_tokens": 0}
    return {
        "type": f"{kind}.completed",
        **_B64_JSON,
        "created_at": int(job.finished_at or job.created_at),
        "background": "opaque",
        "output_format": image.format,
        "quality": "auto",
        "size": _size(image, target),
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "total_tokens": 0,
            "input_tokens_details": none,
        },
        "seed": image.seed,
        "job": job.id,
        "warnings": _warnings(job, image, target),
    }


def _size(image: ImageRecord, target: TargetSize | None) -> str:
    return str(target or f"{image.width}x{image.height}")


def _warnings(job: Job, image: ImageRecord, target: TargetSize | None) -> list[str]:
    scaled = target and not target.is_met_by(image)
    return [*job.warnings, *([target.warning(image)] if target and scaled else [])]


def _event(data: JsonObject) -> bytes:
    return format_sse_event(data_str=json.dumps(data), event=data["type"])
