"""Bodies of requests under ``/v1/images``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from app.openai.requests import EditRequest, GenerationRequest, ImagesRequest
from app.problems import Problem, invalid, unusable
from app.uploads import AlphaOf, Bytes, Picture, read_form, read_json

_MOST_FILES = (
    17  # sixteen photos and a mask, as their client may send; refused by name, not by number
)
_R = TypeVar("_R", bound=ImagesRequest)


async def read_generation(request: Request) -> GenerationRequest:
    """From JSON."""
    if _kind(request) != "application/json":
        raise Problem(415, "Send application/json, and say so in Content-Type.")
    return _validated(GenerationRequest, await read_json(request))


async def read_edit(request: Request) -> tuple[EditRequest, dict[str, Picture]]:
    """From a form with files; the mask's hole is where it is transparent."""
    if _kind(request) != "multipart/form-data":
        raise Problem(415, "Send multipart/form-data with the photo as the file image.")
    raw = await read_form(request, _MOST_FILES)
    pictures: dict[str, Picture] = {"image": Bytes(_photo(raw))}
    mask = raw.pop("mask", None)
    if mask is not None:
        pictures["mask"] = AlphaOf(_file("mask", mask))
    return _validated(EditRequest, raw), pictures


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _photo(raw: dict[str, Any]) -> bytes:
    """``image``, or ``image[]`` as the client calls the photos of a list."""
    found = [(name, raw.pop(name)) for name in ("image", "image[]") if name in raw]
    if not found:
        raise _unusable("image", "is required: a PNG, JPEG or WebP file")
    if len(found) > 1:
        raise _unusable("image", "is given twice; one photo is edited at a time")
    return _file(*found[0])


def _file(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _unusable(name, "is not a file; send the picture's bytes with a file name")
    return value


def _unusable(field: str, detail: str) -> Problem:
    return unusable([{"field": field, "detail": detail}])


def _validated(kind: type[_R], raw: Mapping[str, Any]) -> _R:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise invalid(error) from error
