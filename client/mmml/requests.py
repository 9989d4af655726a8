"""Requests of the service's routes as plain data, and how the HTTP clients are set up."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

import httpx

from mmml.errors import MmmlError
from mmml.images import Mask, encode_image

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = 300.0  # seconds for which a job is waited for
_NETWORK = httpx.Timeout(60.0, connect=5.0)  # longer than a long poll
_PAGE = 100  # jobs requested at a time


@dataclass(frozen=True)
class ApiRequest:
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
    of the longer side, as a photo is or as looks best when absent; ``explain``: how each word
    affected the image, see ``Job.explanation``; ``priority``: which of the jobs that wait start
    first; ``webhook``: an address that is called when the job
    ends; ``idempotency_key``: the same key makes no second job, even from another process.
    """

    seed: int
    count: int
    bundle: str
    method: str
    format: Literal["png", "jpeg", "webp", "gif"]
    size: Literal[64, 128, 256]
    explain: bool
    priority: Literal["low", "normal", "high"]
    webhook: str
    idempotency_key: str


class PhotoOptions(Options, total=False):
    """``fidelity``: the network's own pixels, or its change fitted to the photo."""

    fidelity: Literal["network", "photo"]


class SynthesisOptions(Options, total=False):
    """``frames``: with two texts, the images of a morph from the first to the second;
    ``noise_scale``: how far images of one text differ; ``candidates``: how many are drawn for each
    image, of which the one that fits its text best is kept.
    """

    frames: int
    noise_scale: float
    candidates: int


def submit_request(
    task: str, text: Text, images: Mapping[str, Mask], options: Options
) -> ApiRequest:
    """The request that makes a job; reads the images. It carries an ``Idempotency-Key``, so that it
    can be sent again when its answer is lost.
    """
    fields: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
    headers = {"Idempotency-Key": fields.pop("idempotency_key", None) or str(uuid.uuid4())}
    encoded = {name: encode_image(image) for name, image in images.items()}
    if isinstance(text, str):
        body = _form({"text": text, **fields}, encoded)
    else:
        body = {"json": {"text": list(text), **fields, **encoded}}
    return ApiRequest("POST", f"/{task}", {"headers": headers, **body})


def _form(fields: Mapping[str, Any], images: Mapping[str, bytes | str]) -> dict[str, Any]:
    references = {name: text for name, text in images.items() if isinstance(text, str)}
    files = {name: (name, data) for name, data in images.items() if isinstance(data, bytes)}
    data = {name: _form_value(value) for name, value in fields.items()}
    return {"data": data | references, "files": files or None}


def _form_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def list_jobs_request(limit: int, status: str | None, task: str | None) -> ApiRequest:
    filters = {k: v for k, v in {"status": status, "task": task}.items() if v}
    return ApiRequest("GET", "/jobs", {"params": {**filters, "limit": min(limit, _PAGE)}})


class ClientOptions(TypedDict):
    """Keyword arguments of httpx.Client and httpx.AsyncClient."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout


def service_url(url: str | None) -> str:
    """Where the service is: as given, else as the environment's MMML_URL says."""
    return url or os.environ.get("MMML_URL") or DEFAULT_URL


def client_options(url: str, api_key: str | None) -> ClientOptions:
    """``api_key`` is taken from the environment's MMML_API_KEY when it is not given."""
    key = api_key or os.environ.get("MMML_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": _NETWORK}


def build_request(http: httpx.Client | httpx.AsyncClient, request: ApiRequest) -> httpx.Request:
    """The request as ``http`` sends it. Raises MmmlError when the service names an address of
    another server, which must not be shown the API key.
    """
    if not request.path.startswith("/") or request.path.startswith("//"):
        raise MmmlError(
            f"The service names {request.path[:100]!r}, which is not one of its own addresses; is "
            "the URL right?"
        )
    return http.build_request(request.method, request.path, **request.options)
