"""Finished jobs as an ``ImagesResponse``, or as the events of a stream."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
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
_PLACE = secrets.token_hex(16)  # where a picture will stand; no client can know it
_B64_JSON = {"b64_json": _PLACE}


@dataclass(frozen=True)
class ImagesAnswer:
    """How one request under ``/v1/images`` is answered: with pictures scaled to ``target``. Large
    ones leave storage as their reader takes them. ``who``: by whom they are counted.
    """

    request: Request
    services: Services
    target: TargetSize | None
    who: str

    async def response(self, job: Job, as_url: bool, headers: Mapping[str, str]) -> Response:
        """``job``, ``warnings`` and ``seed`` are this service's own."""
        made = _made(job)
        first = made[0]
        data = [await self._url(job, image) if as_url else _B64_JSON for image in made]
        content = {
            "created": int(job.finished_at or job.created_at),
            "data": [{**each, "seed": image.seed} for each, image in zip(data, made, strict=True)],
            "background": "opaque",
            "output_format": first.format,
            **self._about(job, first),
        }
        if as_url:
            return JSONResponse(content, 200, headers)
        parts = self._with_pictures(content, made)
        if self._are_small(made):
            whole = b"".join([part async for part in parts])
            return Response(whole, 200, headers, "application/json")
        with hold_download(self.services, self.who) as held:
            return Download(parts, headers, "application/json", held.pop_all())

    async def events(self, job: Job, kind: str) -> AsyncIterator[bytes]:
        """``image_generation.completed`` or ``image_edit.completed``, once for each picture."""
        try:
            async with aclosing(poll_job(self.request, self.services, job, self.who)) as states:
                async for job in states:
                    if not job.status.final:
                        yield format_sse_event(comment="waiting")
            made = _made(job)
            small = self._are_small(made)
            with nullcontext() if small else hold_download(self.services, self.who):
                for image in made:
                    event = self._completed(job, image, kind)
                    yield f"event: {event['type']}\ndata: ".encode()
                    async for part in self._with_pictures(event, [image]):
                        yield part
                    yield b"\n\n"
        except Exception as error:  # the answer has begun, so it can only be reported within it
            problem = as_problem(error).body(self.request.url.path)
            event = {"type": "error", **openai_error(problem, {})[2]}
            yield b"\n\n"  # also amid a picture
            yield format_sse_event(data_str=json.dumps(event), event="error")

    async def _with_pictures(
        self, content: JsonObject, images: Sequence[ImageRecord]
    ) -> AsyncIterator[bytes]:
        """The JSON of ``content``, with one of ``images`` in each place."""
        before, *after = json.dumps(content).encode().split(_PLACE.encode())
        yield before
        for image, text in zip(images, after, strict=True):
            async for part in _base64(self._parts(image)):
                yield part
            yield text

    async def _parts(self, image: ImageRecord) -> AsyncIterator[bytes]:
        if is_small(image) or self._is_scaled(image):
            yield await stored_or_scaled(self.services, image, self.target, self.who)
            return
        _, parts = await self.services.open_blob(image.blob)
        async for part in parts:
            yield part

    def _is_scaled(self, image: ImageRecord) -> bool:
        return self.target is not None and not self.target.is_met_by(image)

    def _are_small(self, images: Sequence[ImageRecord]) -> bool:
        return all(map(is_small, images)) and (self.target is None or self.target.is_small)

    async def _url(self, job: Job, image: ImageRecord) -> JsonObject:
        settings, target = self.services.settings, self.target
        links = UrlSigner(self.services.store, settings.link_ttl)
        scaled = {} if target is None else {"size": str(target), "fit": target.fit}
        name = linked_name(job.id, image.index, scaled.get("size"), scaled.get("fit"))
        query = scaled | await run_in_threadpool(links.sign, name)
        path = self.request.url_for("openai_get_image", job_id=job.id, index=str(image.index))
        address = str(path.include_query_params(**query))
        here = str(self.request.base_url).rstrip("/")
        origin = settings.public_url or here
        return {"url": origin + settings.root_path + address.removeprefix(here)}

    def _completed(self, job: Job, image: ImageRecord, kind: str) -> JsonObject:
        none = {"image_tokens": 0, "text_tokens": 0}
        return {
            "type": f"{kind}.completed",
            **_B64_JSON,
            "created_at": int(job.finished_at or job.created_at),
            "background": "opaque",
            "output_format": image.format,
            "quality": "auto",
            "usage": {
                "input_tokens": 0,
                "output_tokens": 0,
                "total_tokens": 0,
                "input_tokens_details": none,
            },
            "seed": image.seed,
            **self._about(job, image),
        }

    def _about(self, job: Job, image: ImageRecord) -> JsonObject:
        scaled = [self.target.warning(image)] if self.target and self._is_scaled(image) else []
        return {
            "size": str(self.target or f"{image.width}x{image.height}"),
            "job": job.id,
            "warnings": [*job.warnings, *scaled],
        }


def _made(job: Job) -> list[ImageRecord]:
    return [image for image in job.images if not image.error]


async def _base64(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for part in parts:
        whole = rest + part
        cut = len(whole) - len(whole) % 3
        rest = whole[cut:]
        yield base64.b64encode(whole[:cut])
    yield base64.b64encode(rest)
