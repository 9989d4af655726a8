"""Requests of the service's routes, as plain data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from app.client.pictures import Mask, content


@dataclass(frozen=True)
class Call:
    """One HTTP request; ``options`` are keyword arguments of httpx."""

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)


class WeightedText(TypedDict):
    """One of several texts that are mixed; weights are normalised, 1 when absent."""

    text: str
    weight: NotRequired[float]


Text = str | Sequence[str | WeightedText]


class Options(TypedDict, total=False):
    """Options of all tasks; GET /models lists bundles and methods. ``size``: 64, 128 or 256 pixels
    of the longer side, as a photo is or as looks best when absent; ``explain``: what each word
    did, see ``Job.explanation``; ``webhook``: an address that is told of the job's end;
    ``idempotency_key``: the same key makes no second job, even from another process.
    """

    seed: int
    count: int
    bundle: str
    method: str
    format: Literal["png", "jpeg", "webp", "gif"]
    size: Literal[64, 128, 256]
    explain: bool
    webhook: str
    idempotency_key: str


class SynthesisOptions(Options, total=False):
    """``frames``: with two texts, the pictures of a morph from the first to the second;
    ``noise_scale``: how far pictures of one text differ; ``candidates``: how many are drawn for
    each picture, of which the one that fits its text best is kept.
    """

    frames: int
    noise_scale: float
    candidates: int


def submission(task: str, text: Text, images: Mapping[str, Mask], options: Options) -> Call:
    """The request that makes a job; reads the pictures. It carries an ``Idempotency-Key``, so that
    it can be sent again when its answer gets lost.
    """
    given: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
    headers = {"Idempotency-Key": given.pop("idempotency_key", None) or str(uuid.uuid4())}
    pictures = {name: content(picture) for name, picture in images.items()}
    if isinstance(text, str):
        body = _form({"text": text, **given}, pictures)
    else:
        body = {"json": {"text": list(text), **given, **pictures}}
    return Call("POST", f"/{task}", {"headers": headers, **body})


def _form(fields: Mapping[str, Any], pictures: Mapping[str, bytes | str]) -> dict[str, Any]:
    named = {name: text for name, text in pictures.items() if isinstance(text, str)}
    files = {name: (name, data) for name, data in pictures.items() if isinstance(data, bytes)}
    told = {name: _field(value) for name, value in fields.items()}
    return {"data": told | named, "files": files or None}


def _field(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_PAGE = 100  # jobs asked for at a time


def page(limit: int, status: str | None, task: str | None) -> Call:
    """The first page of the newest jobs."""
    only = {"status": status, "task": task}
    query = {k: v for k, v in only.items() if v} | {"limit": min(limit, _PAGE)}
    return Call("GET", "/jobs", {"params": query})
