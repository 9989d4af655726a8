"""Finished jobs as an ``ImagesResponse``, or as the events of a stream."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from app.gateway.openai.errors import openai_error
from app.gateway.openai.scaling import TargetSize, stored_or_scaled
from app.gateway.openai.submission import cancel_unless_resumable, poll_job
from app.gateway.problems import Problem, as_problem
from app.gateway.services import Services
from app.gateway.submission import Submission
from jobs.job import ImageRecord, Job
from jobs.redis_store import JobStore


class UrlSigner:
    """Signs and checks addresses. Methods block."""

    def __init__(
        self, store: JobStore, lifetime: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._lifetime, self._clock = store, lifetime, clock

    def sign(self, name: str) -> dict[str, str]:
        """The query of an address that works from now on; ``name`` is all that it serves."""
        expires = int(self._clock() + self._lifetime)
        return {"expires": str(expires), "signature": self._signature(name, expires)}

    def check(self, name: str, expires: int, signature: str) -> None:
        """Problem 403 when the signature is not ours, 410 when its time is over."""
        right = self._signature(name, expires)
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
            raise Problem(403, "This address is not signed by this service; use it unchanged.")
        if self._clock() >= expires:
            raise Problem(410, "This address has expired. GET /jobs lists your jobs' pictures.")

    def _signature(self, name: str, expires: int) -> str:
        secret = self._store.service_secret("links", secrets.token_hex(32))
        return hmac.digest(secret.encode(), f"{name} until {expires}".encode(), "sha256").hex()


def linked_name(job_id: str, index: int, size: str | None, fit: str | None) -> str:
    """What a signed address serves."""
    return f"{job_id}/{index}" + (f" {size} {fit}" if size else "")


JsonObject = dict[str, Any]


async def images_response(
    request: Request, services: Services, job: Job, target: TargetSize | None, as_url: bool
) -> JsonObject:
    """Pictures that failed are reported in ``warnings``; ``job``, ``warnings`` and ``seed`` are
    this service's own.
    """
    made = [image for image in job.images if not image.error]
    link_or_content = _url_of if as_url else _content_of
    first = made[0]
    failures = [f"Picture {i.index} was not made: {i.error.detail}" for i in job.images if i.error]
    return {
        "created": int(job.finished_at or job.created_at),
        "data": [
            {**await link_or_content(request, services, job, i, target), "seed": i.seed}
            for i in made
        ],
        "background": "opaque",
        "output_format": first.format,
        "size": _size(first, target),
        "job": job.id,
        "warnings": [*_warnings(job, first, target), *failures],
    }


async def _content_of(
    _request: Request,
    services: Services,
    job: Job,
    image: ImageRecord,
    target: TargetSize | None,
) -> JsonObject:
    data = await stored_or_scaled(services, image, target, job.owner)
    return {"b64_json": base64.b64encode(data).decode()}


async def _url_of(
    request: Request,
    services: Services,
    job: Job,
    image: ImageRecord,
    target: TargetSize | None,
) -> JsonObject:
    links = UrlSigner(services.store, services.settings.link_ttl)
    scaled = {} if target is None else {"size": str(target), "fit": target.fit}
    name = linked_name(job.id, image.index, scaled.get("size"), scaled.get("fit"))
    query = scaled | await run_in_threadpool(links.sign, name)
    path = request.url_for("linked_picture", job_id=job.id, index=str(image.index))
    return {"url": str(path.include_query_params(**query))}


async def image_events(
    request: Request,
    services: Services,
    accepted: Submission,
    target: TargetSize | None,
    kind: str,
) -> AsyncIterator[bytes]:
    """``image_generation.completed`` or ``image_edit.completed``, once for each picture."""
    job = accepted.job
    try:
        async for job in poll_job(request, services, accepted.job):
            if not job.status.final:
                yield format_sse_event(comment="waiting")
        for image in job.images:
            if not image.error:
                yield _event(await _completed(request, services, job, image, target, kind))
    except Exception as error:  # the answer has begun, so it can only be reported within it
        _, _, openai_body = openai_error(as_problem(error).body(request.url.path), {})
        yield _event({"type": "error", **openai_body})
    finally:
        await cancel_unless_resumable(request, services, job)


async def _completed(
    request: Request,
    services: Services,
    job: Job,
    image: ImageRecord,
    target: TargetSize | None,
    kind: str,
) -> JsonObject:
    none = {"image_tokens": 0, "text_tokens": 0}
    return {
        "type": f"{kind}.completed",
        **await _content_of(request, services, job, image, target),
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
