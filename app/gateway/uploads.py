"""Reading a request's body: JSON or form, with pictures as files, base64, data URLs or earlier
jobs' images.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from app.gateway.decoders import QUICK_BYTES, Decoders
from app.gateway.forms import MAX_FIELDS, read_form
from app.gateway.problems import Problem
from jobs.requests import ImageField, TaskRequest

TEXT_BODY = 128 * 1024  # bytes of a body without pictures: eight texts, however they are escaped
_MAX_FIELD = 64 * 2**20  # bytes of a form's field, which may hold a data URL
_MAX_TOKENS = 20_000  # of JSON; a parser takes up to a hundred bytes of memory for each
_IMAGE_PATH = re.compile(
    r"(?:https?://[^/]+)?(?:/[\w.~-]{1,64}){0,8}/jobs/(\w{1,64})/images/(\d{1,4})", re.ASCII
)
_BOX = re.compile(r"\s*-?\d{1,9}\s*(?:,\s*-?\d{1,9}\s*){3}", re.ASCII)


@dataclass(frozen=True)
class UploadedFile:
    """A picture's file as sent."""

    data: bytes


@dataclass(frozen=True)
class EarlierImage:
    """Picture ``index`` of an earlier job."""

    job_id: str
    index: int


@dataclass(frozen=True)
class PhotoAlphaMask:
    """A mask: the hole is where the photo is transparent."""


class AlphaMask(UploadedFile):
    """A mask: the hole is where this picture is transparent."""


@dataclass(frozen=True)
class BoxMask:
    """A mask: a rectangle x, y, width, height in pixels of the upright photo."""

    box: tuple[int, int, int, int]


ImageInput = UploadedFile | EarlierImage | PhotoAlphaMask | BoxMask
_ACCEPTED_PHOTO_FORMS = (
    "a file, base64, a data URL (data:image/png;base64,…) or the path of an earlier image"
)
_ACCEPTED_FORMS = {
    "photo": _ACCEPTED_PHOTO_FORMS,
    "mask": f"{_ACCEPTED_PHOTO_FORMS}; or a box of four whole numbers x,y,width,height, "
    'or the word "alpha"',
}


async def read_request(
    request: Request, task: type[TaskRequest], decoders: Decoders, caller: str
) -> tuple[dict[str, Any], dict[str, ImageInput]]:
    """(plain fields, pictures by field name) of a request for ``task``. Large bodies are parsed in
    a place of ``decoders``, when it is ``caller``'s turn.
    """
    kind = media_type(request)
    if is_json(request):
        body = await read_body(request, None if task.images else TEXT_BODY)
        raw: dict[str, Any] | None = None
    elif kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        names = [spec.name for spec in task.images]
        longest = _MAX_FIELD if names else TEXT_BODY
        raw, body = await read_form(request, len(names), longest, task.repeatable, names), b""
        if kind != "multipart/form-data":
            _restore_plus(raw, names)
    else:
        raise wrong_type(kind, "application/json or multipart/form-data")

    def made() -> tuple[dict[str, Any], dict[str, ImageInput]]:
        fields = parse_json(body) if raw is None else _form_to_json(task, raw)
        return fields, {
            s.name: _parse_image_input(s, fields.pop(s.name, None)) for s in task.images
        }

    texts = [value for value in (raw or {}).values() if isinstance(value, str)]
    size = max([len(body), *map(len, texts)])
    if size <= TEXT_BODY:
        return made()
    return await decoders.run(caller, made, quick=size <= QUICK_BYTES)


def is_json(request: Request) -> bool:
    """Whether the body is JSON, whose values have types; a form's values are all text."""
    kind = media_type(request)
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def media_type(request: Request) -> str:
    """The Content-Type without its parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def wrong_type(kind: str, right: str) -> Problem:
    """415 that names the header."""
    given = f"Content-Type {kind[:100]} is not taken here." if kind else "Content-Type is missing."
    return Problem(415, f"{given} Send {right}, and say so in Content-Type.")


async def read_body(request: Request, most: int | None) -> bytes:
    """The body; Problem 413 when it has more than ``most`` bytes."""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if most is not None and size > most:
            raise Problem(
                413,
                f"The body is larger than the {most // 1024} kB that a request without pictures "
                "may have. Send less in it.",
                headers={"Connection": "close"},
            )
    return b"".join(parts)


def parse_json(body: bytes) -> dict[str, Any]:
    """The body, a JSON object of few fields. Raises Problem, before it takes much memory."""
    if sum(map(body.count, (b"{", b"[", b",", b":"))) > _MAX_TOKENS:
        raise Problem(400, "The body holds far more values than any request has; send fewer.")
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(
            400, "The body is not valid JSON; let a JSON library write it, as UTF-8."
        ) from error
    if not isinstance(raw, dict):
        raise Problem(422, 'The body must be a JSON object such as {"field": "value"}.')
    if len(raw) > MAX_FIELDS:
        raise Problem(422, f"The body has more than {MAX_FIELDS} fields; GET /docs lists them.")
    return raw


def _restore_plus(raw: dict[str, Any], pictures: list[str]) -> None:
    """In base64 that was not percent-encoded, as curl's ``-d`` sends it, every plus is a space."""
    for name in pictures:
        value = raw.get(name)
        if isinstance(value, str) and len(value) > 100:  # a box is shorter
            raw[name] = value.replace(" ", "+")


def _form_to_json(task: type[TaskRequest], fields: dict[str, Any]) -> dict[str, Any]:
    try:
        return task.from_form(fields)
    except ValueError as error:
        raise Problem(422, str(error)) from error


def _parse_image_input(spec: ImageField, value: Any) -> ImageInput:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Problem(422, f"{spec.name} is missing; send one: {spec.description}.")
    if isinstance(value, bytes):
        if not value:
            raise Problem(422, f"{spec.name} is an empty file; send one: {spec.description}.")
        return UploadedFile(value)
    if spec.kind == "mask" and isinstance(value, list) and _whole_numbers(value):
        value = ",".join(str(int(number)) for number in value)
    if not isinstance(value, str):
        raise Problem(422, f"{spec.name} must be {_ACCEPTED_FORMS[spec.kind]}.")
    if spec.kind == "mask" and value.strip().lower() == "alpha":
        return PhotoAlphaMask()
    if spec.kind == "mask" and _BOX.fullmatch(value):
        x, y, w, h = (int(v) for v in value.split(","))
        return BoxMask((x, y, w, h))
    return _parse_text(spec, value.strip())


_BASE64_OF_JPEG = "/9j/"  # no address, though it starts like a path


def _parse_text(spec: ImageField, value: str) -> ImageInput:
    path = _IMAGE_PATH.fullmatch(value)
    if path:
        return EarlierImage(path[1], int(path[2]))
    if value.startswith(("http://", "https://", "/")) and not value.startswith(_BASE64_OF_JPEG):
        raise Problem(
            422,
            f"{spec.name}: only images of this service's own jobs can be named by address "
            f"(/jobs/ID/images/0). "
            "Download other pictures and send their bytes.",
        )
    try:
        data = decode_text(value)
    except ValueError as error:
        raise Problem(
            422, f"{spec.name} can't be read as base64; it must be {_ACCEPTED_FORMS[spec.kind]}."
        ) from error
    return _parse_image_input(spec, data)


def _whole_numbers(values: list[Any]) -> bool:
    # True and false are ints, too.
    return bool(values) and all(
        type(value) is int or (type(value) is float and value.is_integer()) for value in values
    )


_WHITESPACE = b"\t\n\f\r "
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DATA_URL = re.compile(r"data:([^,]{0,1000}),", re.IGNORECASE)
_IS_BASE64 = re.compile(r";\s*base64\s*$", re.IGNORECASE)


def decode_text(text: str) -> bytes:
    """The bytes of base64 or of a data URL, whatever type and parameters that names. Raises
    ValueError.
    """
    header = _DATA_URL.match(text)
    if header is None:
        return forgiving_base64(text)
    body = _unquote(text[header.end() :])
    return forgiving_base64(body.decode("ascii")) if _IS_BASE64.search(header[1]) else body


_PIECE = 64 * 1024  # bytes


def _unquote(text: str) -> bytes:
    """Without percent-encoding. In pieces, as each byte takes some eighty bytes meanwhile."""
    data, found, start = text.encode(), bytearray(), 0
    while start < len(data):
        end = start + _PIECE
        cut = data.rfind(b"%", end - 2, end)  # of an escape, which stays whole
        end = cut if cut > start else end
        found += unquote_to_bytes(data[start:end])
        start = end
    return bytes(found)


def forgiving_base64(text: str) -> bytes:
    """WHATWG's forgiving-base64 decode (https://infra.spec.whatwg.org/#forgiving-base64-decode):
    line breaks and spaces don't matter, nor does the padding. Takes the alphabet for URLs, too.
    Raises ValueError.
    """
    packed = text.encode("ascii").translate(_FROM_URL_SAFE, _WHITESPACE).rstrip(b"=")
    return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
