"""What a malformed upload is, how one is written, and sentences of its refusal."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.picture_files import multipart, png

TEXT = "a red bird"
CONVERT = "is not a PNG, JPEG or WebP picture; convert it to one of these."
BROKEN = "is broken or cut off and can't be decoded; export it again and resend."
LARGE = "is larger than 50 megapixels or 16384 pixels on a side; scale it down."
PIECES = "is cut into too many pieces; open it in an editor and save it again."
TINY = "send one whose shorter side has at least 16."
LIBRARY = "Let an HTTP library make the form and its Content-Type."
FORMS = "it must be a file, base64, a data URL"


@dataclass(frozen=True)
class Upload:
    """One request, as keyword arguments of an HTTP client's ``post``."""

    name: str
    status: int
    words: str
    path: str
    request: Mapping[str, Any]


def with_photo(
    name: str, status: int, words: str, data: bytes, file: tuple[str, str] = ("a.png", "image/png")
) -> Upload:
    files = {"image": (file[0], data, file[1])}
    return Upload(name, status, words, "/manipulate", {"data": {"text": TEXT}, "files": files})


def with_mask(name: str, status: int, words: str, data: bytes, of: bytes = b"") -> Upload:
    files = {"image": ("a.png", of or png()), "mask": ("m.png", data)}
    return Upload(name, status, words, "/inpaint", {"data": {"text": TEXT}, "files": files})


def with_mask_value(name: str, status: int, words: str, value: object, of: bytes = b"") -> Upload:
    body = {"text": TEXT, "image": as_base64(of or png()), "mask": value}
    return with_body(name, status, words, as_json(body), path="/inpaint")


def with_photo_value(name: str, status: int, words: str, value: object) -> Upload:
    return with_body(
        name, status, words, as_json({"text": TEXT, "image": value}), path="/manipulate"
    )


def with_fields(name: str, status: int, words: str, **fields: object) -> Upload:
    return with_body(name, status, words, as_json({"text": TEXT, **fields}))


def with_body(
    name: str,
    status: int,
    words: str,
    content: bytes,
    kind: str = "application/json",
    path: str = "/synthesize",
    **headers: str,
) -> Upload:
    given = {"Content-Type": kind} if kind else {}
    return Upload(name, status, words, path, {"content": content, "headers": {**given, **headers}})


def with_form(
    name: str,
    status: int,
    words: str,
    *parts: tuple[bytes, bytes],
    kind: str = "multipart/form-data; boundary=b0undary",
    **how: bytes,
) -> Upload:
    return with_body(name, status, words, multipart(parts, **how), kind, "/manipulate")


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/cron.d/evil", "* * * * * root true")
    return buffer.getvalue()


def disposition(name: bytes, filename: bytes = b"") -> bytes:
    tail = b'; filename="' + filename + b'"' if filename else b""
    return b'Content-Disposition: form-data; name="' + name + b'"' + tail
