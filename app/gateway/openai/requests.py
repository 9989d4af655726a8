"""What may be asked for under ``/v1/images``, and why the rest may not; and how it is read."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from starlette.requests import Request

from app.gateway.forms import read_form
from app.gateway.openai.scaling import SIDES, Fit, TargetSize
from app.gateway.problems import Problem, field_problem, validated
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

Fields = dict[str, Any]

# In this service's own words. What they may hold is checked where those are read, not here.
_TASK_FIELDS = {"prompt": "text", "n": "count", "model": "bundle", "output_format": "format"}
_EXTENSIONS = ("seed", "method")

# What an option may be, and what to do instead.
_CHOICES = {
    "quality": (
        ("auto", "standard", "hd", "low", "medium", "high", "xhigh", "max"),
        "is none of auto, low, medium, high; leave it out, as there is one quality only",
    ),
    "output_format": (("png", "jpeg", "webp"), "is none of png, jpeg, webp"),
    "background": (("auto", "opaque"), "is always opaque here; leave it out"),
    "moderation": (("auto", "low"), "is none of auto, low; leave it out, as nothing is moderated"),
    "style": (("vivid", "natural"), "is none of vivid, natural; say it in the prompt"),
    "output_compression": ((), "can't be chosen: jpeg and webp have quality 95; leave it out"),
    "input_fidelity": ((), "can't be chosen: an edit keeps what it can; leave it out"),
}
_NOT_OFFERED = ("complexity", "frame_count", "frame_duration_ms", "svg", "markup")


class ImagesRequest(BaseModel):
    """What generations and edits share. ``seed``, ``method`` and ``fit`` are this service's own."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(description="the caption")
    model: str | None = Field(None, description="a bundle; if omitted, the default one")
    n: int | None = Field(None, description="number of images, 1 to 16")
    size: str | None = Field(
        None, description="auto (as made), or WIDTHxHEIGHT, to which images are scaled"
    )
    fit: Fit | None = Field(
        None, description="for a size of another aspect: cover (cut, the default) or contain (bars)"
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="if omitted, b64_json"
    )
    output_format: str | None = Field(None, description="png, jpeg or webp")
    stream: bool | None = Field(None, description="as server-sent events")
    partial_images: int | None = Field(
        None, ge=0, le=3, description="accepted; only final pictures are sent"
    )
    quality: str | None = Field(None, description="accepted; there is one quality")
    background: str | None = Field(None, description="auto or opaque")
    moderation: str | None = Field(None, description="accepted; nothing is moderated")
    user: str | None = Field(None, description="accepted, not kept")
    safety_identifier: str | None = Field(None, description="accepted, not kept")
    seed: int | None = Field(None, description="if omitted, a random seed is chosen and returned")
    method: str | None = Field(None, description="algorithm to use; GET /models lists them")
    style: str | None = Field(None, description="accepted; there is one style")
    output_compression: int | None = Field(None, description="refused")
    complexity: Any = Field(None, description="refused")
    frame_count: Any = Field(None, description="refused")
    frame_duration_ms: Any = Field(None, description="refused")
    svg: Any = Field(None, description="refused")

    @field_validator(*_CHOICES, mode="before", check_fields=False)
    @classmethod
    def _check_choice(cls, value: object, info: ValidationInfo) -> object:
        allowed, otherwise = _CHOICES[str(info.field_name)]
        if value is not None and value not in allowed:
            raise ValueError(otherwise)
        return value

    @field_validator(*_NOT_OFFERED, mode="before", check_fields=False)
    @classmethod
    def _refuse(cls, value: object) -> None:
        if value is not None:
            raise ValueError("is not offered here; leave it out")

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: str | None) -> str | None:
        if size in (None, "", "auto") or TargetSize.parse(size, "cover"):
            return size
        raise ValueError(
            f"is not auto or WIDTHxHEIGHT with sides of {SIDES[0]} to {SIDES[-1]} pixels, such as "
            "1024x1024"
        )

    @field_validator("stream")
    @classmethod
    def _refuse_stream_of_urls(cls, stream: bool | None, info: ValidationInfo) -> bool | None:
        if stream and info.data.get("response_format") == "url":
            raise ValueError("sends the pictures themselves; leave response_format out")
        return stream

    def target_size(self) -> TargetSize | None:
        """The size of the images to answer; None for that in which they are made."""
        return TargetSize.parse(self.size or "", self.fit or "cover")

    def task_fields(self) -> Fields:
        """The same in the words of this service's tasks."""
        names = {**_TASK_FIELDS, **{name: name for name in _EXTENSIONS}}
        given = {own: getattr(self, name) for name, own in names.items()}
        return {name: value for name, value in given.items() if value is not None}


class GenerationRequest(ImagesRequest):
    """``POST /v1/images/generations``."""


class EditRequest(ImagesRequest):
    """``POST /v1/images/edits``, beside its pictures."""

    input_fidelity: str | None = Field(None, description="refused")
    markup: Any = Field(None, description="refused")


def rename_fields_for_client(problem: Problem) -> Problem:
    """A problem with single fields, under the names that the client knows them by."""
    if not problem.errors:
        return problem
    theirs = {own: name for name, own in _TASK_FIELDS.items()}
    return field_problem(
        [{**e, "field": theirs.get(e["field"], e["field"])} for e in problem.errors]
    )


_MAX_FILES = 17  # sixteen photos and a mask, as their client may send; refused by name
_PHOTO_NAMES = ("image", "image[]")
_PICTURES = (*_PHOTO_NAMES, "mask")
_NUMBERED = re.compile(r"image\[?\d+\]?")


async def read_generation(request: Request) -> GenerationRequest:
    """From JSON."""
    if not is_json(request):
        raise wrong_type(media_type(request), "application/json")
    return validated(GenerationRequest, parse_json(await read_body(request, TEXT_BODY)))


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
    return validated(EditRequest, raw), pictures


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
