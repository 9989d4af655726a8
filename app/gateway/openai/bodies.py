"""Bodies of requests under ``/v1/images``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from app.gateway.forms import read_form
from app.gateway.openai.requests import EditRequest, GenerationRequest, ImagesRequest
from app.gateway.problems import Problem, field_problem, validation_problem
from app.gateway.uploads import (
    TEXT_BODY,
    AlphaMask,
    ImageInput,
    UploadedFile,
    is_json,
    media_type,
    parse_json,
    read_body,
    wrong_type,
)

_MAX_FILES = (
    17  # sixteen photos and a mask, as their client may send; refused by name, not by number
)
_PHOTO_NAMES = ("image", "image[]")
_PICTURES = (*_PHOTO_NAMES, "mask")
_NUMBERED = re.compile(r"image\[?\d+\]?")
_R = TypeVar("_R", bound=ImagesRequest)


async def read_generation(request: Request) -> GenerationRequest:
    """From JSON."""
    if not is_json(request):
        raise wrong_type(media_type(request), "application/json")
    return _validate(GenerationRequest, parse_json(await read_body(request, TEXT_BODY)))


async def read_edit(request: Request) -> tuple[EditRequest, dict[str, ImageInput]]:
    """From a form with files; the mask's hole is where it is transparent."""
    if media_type(request) != "multipart/form-data":
        raise wrong_type(
            media_type(request), "multipart/form-data with the photo as the file image"
        )
    raw = await read_form(request, _MAX_FILES, TEXT_BODY, pictures=_PICTURES)
    pictures: dict[str, ImageInput] = {"image": UploadedFile(_photo(raw))}
    mask = raw.pop("mask", None)
    if mask is not None:
        pictures["mask"] = AlphaMask(_file("mask", mask))
    return _validate(EditRequest, raw), pictures


def _photo(raw: dict[str, Any]) -> bytes:
    """``image``, or ``image[]`` as the client calls the photos of a list."""
    found = [(name, raw.pop(name)) for name in _PHOTO_NAMES if name in raw]
    numbered = next((name for name in raw if _NUMBERED.fullmatch(name)), None)
    if numbered and not found:
        raise _unusable(numbered, "is not a field; send the photo as image or image[]")
    if not found:
        raise _unusable("image", "is required: a PNG, JPEG or WebP file")
    if len(found) > 1:
        raise _unusable("image", "is given twice; one photo is edited at a time")
    return _file(*found[0])


def _file(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _unusable(name, "is not a file; send the picture's bytes with a file name")
    if not value:
        raise _unusable(name, "is an empty file; send the picture's bytes, or leave it out")
    return value


def _unusable(field: str, detail: str) -> Problem:
    return field_problem([{"field": field, "detail": detail}])


def _validate(kind: type[_R], raw: Mapping[str, Any]) -> _R:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise validation_problem(error) from error
