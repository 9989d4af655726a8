"""What a client may ask for: one frozen class per task, and the registry that everything else is
made from.

Routes, form parsing, OpenAPI, the command line and the worker read :data:`TASKS`; a new task is
one class here.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_TEXT = 1000
MAX_URL = 2000
MAX_SEED = 2**32 - 1
ImageFormat = Literal["png", "jpeg", "webp"]


@dataclass(frozen=True)
class ImageField:
    """A picture that a task takes: form field ``name``; a mask belongs to the photo before it."""

    name: str
    kind: Literal["photo", "mask"]
    description: str


class TaskRequest(BaseModel):
    """What all tasks share. Pictures are not part of it: they are blobs, named in the job's
    ``inputs``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: ClassVar[str]
    summary: ClassVar[str]
    images: ClassVar[tuple[ImageField, ...]] = ()

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="the caption")]
    seed: Annotated[
        int | None, Field(ge=0, le=MAX_SEED, description="drawn and returned when absent")
    ] = None
    count: Annotated[int, Field(ge=1, le=16, description="how many pictures")] = 1
    bundle: Annotated[str | None, Field(description="name of the weights; see GET /models")] = None
    method: Annotated[str | None, Field(description="algorithm; see GET /models")] = None
    format: Annotated[ImageFormat, Field(description="png is lossless")] = "png"
    webhook: Annotated[
        str | None,
        Field(max_length=MAX_URL, description="https address that is told of the job's end"),
    ] = None

    @field_validator("text")
    @classmethod
    def _clean(cls, text: str) -> str:
        text = unicodedata.normalize("NFC", text)
        if any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in text):
            raise ValueError("contains control characters; send plain text")
        text = " ".join(text.split())
        if not text:
            raise ValueError("is empty; describe the picture in words")
        return text


class Synthesize(TaskRequest):
    """Text to pictures."""

    task = "synthesize"
    summary = "Make pictures from a text"


_PHOTO = ImageField("image", "photo", "PNG, JPEG or WebP, up to 50 megapixels")


class Manipulate(TaskRequest):
    """Edit a photo as the text says."""

    task = "manipulate"
    summary = "Edit a photo as a text says"
    images = (_PHOTO,)


class Inpaint(TaskRequest):
    """Fill the hole of a photo as the text says."""

    task = "inpaint"
    summary = "Fill a hole in a photo as a text says"
    images = (
        _PHOTO,
        ImageField("mask", "mask", "same size as the photo, white where it is to be filled"),
    )


TASKS: dict[str, type[TaskRequest]] = {}


def register_task(request: type[TaskRequest]) -> type[TaskRequest]:
    """Add a task to the registry."""
    TASKS[request.task] = request
    return request


for _request in (Synthesize, Manipulate, Inpaint):
    register_task(_request)


def resolved(request: TaskRequest, **values: Any) -> TaskRequest:
    """The same request with absent values filled in."""
    return request.model_copy(update=values)
