"""Reading a request's body: JSON or form, with pictures as files, base64, data URLs or earlier
jobs' images.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.problems import Problem
from jobs.requests import ImageField, TaskRequest

_MAX_FIELDS = 32
_MAX_FIELD = (
    64 * 2**20
)  # bytes: a form field may hold a data URL; the body limit bounds all of them together
_IMAGE_PATH = re.compile(r"(?:https?://[^/]+)?/jobs/(\w{1,64})/images/(\d{1,4})", re.ASCII)
_BOX = re.compile(r"\s*-?\d{1,9}\s*(?:,\s*-?\d{1,9}\s*){3}", re.ASCII)
_DATA_URL = re.compile(r"^data:image/[\w.+-]+;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Bytes:
    """A picture's file as sent."""

    data: bytes


@dataclass(frozen=True)
class Earlier:
    """Picture ``index`` of an earlier job."""

    job_id: str
    index: int


@dataclass(frozen=True)
class Alpha:
    """A mask: the hole is where the photo is transparent."""


@dataclass(frozen=True)
class AlphaOf:
    """A mask: the hole is where this picture, a file as sent, is transparent."""

    data: bytes


@dataclass(frozen=True)
class Box:
    """A mask: a rectangle x, y, width, height in pixels of the upright photo."""

    box: tuple[int, int, int, int]


Picture = Bytes | Earlier | Alpha | AlphaOf | Box
_PHOTO_FORMS = (
    "a file, base64, a data URL (data:image/png;base64,…) or the path of an earlier image"
)
_FORMS = {
    "photo": _PHOTO_FORMS,
    "mask": f'{_PHOTO_FORMS}; or a box of four whole numbers x,y,width,height, or the word "alpha"',
}


async def read(
    request: Request, task: type[TaskRequest]
) -> tuple[dict[str, Any], dict[str, Picture]]:
    """(plain fields, pictures by field name) of a request for ``task``."""
    if is_json(request):
        raw = await read_json(request)
    elif _kind(request) in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raw = _as_json(task, await read_form(request, len(task.images), task.repeatable))
    else:
        raise Problem(
            415, "Send application/json or multipart/form-data, and say so in Content-Type."
        )
    pictures = {spec.name: _picture(spec, raw.pop(spec.name, None)) for spec in task.images}
    return raw, pictures


def is_json(request: Request) -> bool:
    """Whether the body is JSON, whose values have types; a form's values are all text."""
    kind = _kind(request)
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_json(request: Request) -> dict[str, Any]:
    """The body, a JSON object."""
    try:
        # Not request.body(), which keeps a copy for as long as the request lasts.
        raw = json.loads(b"".join([part async for part in request.stream()]))
    except (ValueError, RecursionError) as error:
        raise Problem(
            400, "The body is not valid JSON; let a JSON library write it, as UTF-8."
        ) from error
    if not isinstance(raw, dict):
        raise Problem(
            422, 'The body must be a JSON object such as {"text": "a bird with a red crown"}.'
        )
    return raw


def _as_json(task: type[TaskRequest], fields: dict[str, Any]) -> dict[str, Any]:
    try:
        return task.from_form(fields)
    except ValueError as error:
        raise Problem(422, str(error)) from error


async def read_form(request: Request, files: int, repeatable: Sequence[str] = ()) -> dict[str, Any]:
    """Text fields as strings, files as their bytes; empty fields count as absent. Those of
    ``repeatable`` come in lists.
    """
    raw: dict[str, Any] = {}
    try:
        async with request.form(
            max_files=max(files, 1), max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD
        ) as form:
            for name, value in form.multi_items():
                content = await value.read() if isinstance(value, UploadFile) else value
                if name in repeatable:
                    raw[name] = [*raw.get(name, []), *([content] if content else [])]
                elif name in raw:
                    raise Problem(422, f"{name} is given twice; send it once.")
                elif content:
                    raw[name] = content
    except HTTPException as error:
        if error.status_code == 413:
            raise
        raise _unreadable(error.detail) from error
    except ValueError as error:  # such as a charset that Python can't decode with
        raise _unreadable("It does not hold what its Content-Type says.") from error
    return raw


def _unreadable(why: str) -> Problem:
    return Problem(
        400,
        f"The form can't be read: {why} Let an HTTP library make the form and its Content-Type.",
    )


def _picture(spec: ImageField, value: Any) -> Picture:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Problem(422, f"{spec.name} is missing; send one: {spec.description}.")
    if isinstance(value, bytes):
        return Bytes(value)
    if spec.kind == "mask" and isinstance(value, list) and _whole_numbers(value):
        value = ",".join(map(str, value))
    if not isinstance(value, str):
        raise Problem(422, f"{spec.name} must be {_FORMS[spec.kind]}.")
    if spec.kind == "mask" and value.strip().lower() == "alpha":
        return Alpha()
    if spec.kind == "mask" and _BOX.fullmatch(value):
        x, y, w, h = (int(v) for v in value.split(","))
        return Box((x, y, w, h))
    return _from_text(spec, value.strip())


_BASE64_OF_JPEG = "/9j/"  # no address, though it starts like a path


def _from_text(spec: ImageField, value: str) -> Picture:
    path = _IMAGE_PATH.fullmatch(value)
    if path:
        return Earlier(path[1], int(path[2]))
    if value.startswith(("http://", "https://", "/")) and not value.startswith(_BASE64_OF_JPEG):
        raise Problem(
            422,
            f"{spec.name}: only images of this service's own jobs can be named by address "
            f"(/jobs/ID/images/0). "
            "Download other pictures and send their bytes.",
        )
    try:
        return Bytes(base64.b64decode(_DATA_URL.sub("", value, count=1), validate=True))
    except (binascii.Error, ValueError) as error:
        raise Problem(422, f"{spec.name} can't be read; it must be {_FORMS[spec.kind]}.") from error


def _whole_numbers(values: list[Any]) -> bool:
    # True and false are ints, too.
    return bool(values) and all(type(value) is int for value in values)
