"""Reading forms: text fields as strings, files as their bytes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.gateway.problems import Problem

MAX_FIELDS = 32
_MAX_PREAMBLE = 64 * 1024  # bytes before a form's first part
_EXTENDED_NAME = re.compile(rb";\s*filename\*\s*=", re.IGNORECASE)
_PLAIN_NAME = re.compile(rb";\s*filename\s*=", re.IGNORECASE)


async def read_form(
    request: Request,
    files: int,
    longest: int,
    repeatable: Sequence[str] = (),
    pictures: Collection[str] = (),
) -> dict[str, Any]:
    """The fields of the form. Empty text counts as absent, except in fields of ``pictures``; an
    empty file never does. Fields of ``repeatable`` come in lists. ``files``: most files;
    ``longest``: bytes of a text field. Raises Problem.
    """
    raw: dict[str, Any] = {}
    try:
        form = await _parsed(request, max(files, 1), longest)
        try:
            for name, value in form.multi_items():
                is_file = isinstance(value, UploadFile)
                content = await value.read() if isinstance(value, UploadFile) else value
                if name in repeatable:
                    raw[name] = [*raw.get(name, []), *([content] if content else [])]
                elif name in raw:
                    raise Problem(422, f"{name[:100]} is given twice; send it once.")
                elif content or is_file or name in pictures:
                    raw[name] = content
                elif name.lstrip().startswith("{"):
                    raise Problem(  # what curl's -d makes of JSON
                        415,
                        "The body looks like JSON, but its Content-Type says that it is a form. "
                        "Send Content-Type: application/json with it.",
                    )
        finally:
            await form.close()
    except HTTPException as error:
        if error.status_code == 413:
            raise
        raise _unreadable(error.detail) from error
    except MultiPartException as error:
        raise _unreadable(error.message) from error
    except ValueError as error:  # such as a charset that Python can't decode with
        raise _unreadable("It does not hold what its Content-Type says.") from error
    return raw


async def _parsed(request: Request, files: int, longest: int) -> FormData:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.lower() != b"multipart/form-data":
        return FormData(_urlencoded(await request.body()))
    parts = _from_first_part(request.stream(), options.get(b"boundary", b""))
    limits = {"max_files": files, "max_fields": MAX_FIELDS, "max_part_size": longest}
    return await _Parser(request.headers, parts, **limits).parse()


def _urlencoded(body: bytes) -> list[tuple[str, str | UploadFile]]:
    """Names and values in UTF-8, percent-encoded or, as curl's -d sends them, not."""
    if body.count(b"&") >= MAX_FIELDS:
        raise _unreadable(f"Too many fields. Maximum number of fields is {MAX_FIELDS}.")
    try:
        return [*parse_qsl(body.decode(), keep_blank_values=True, errors="strict")]
    except UnicodeDecodeError as error:
        raise Problem(
            400, "The form holds bytes that are not UTF-8; send its text as UTF-8."
        ) from error


class _Parser(MultiPartParser):
    """Starlette's, for clients that name a file by ``filename*`` alone (RFC 5987)."""

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = part.content_disposition or b""
        if not _PLAIN_NAME.search(disposition):
            part.content_disposition = _EXTENDED_NAME.sub(b"; filename=", disposition, count=1)
        super().on_headers_finished()


async def _from_first_part(
    body: AsyncIterator[bytes], boundary: bytes
) -> AsyncGenerator[bytes, None]:
    """Without what RFC 2046 lets stand before the first boundary."""
    held = b""
    async for chunk in body:
        held += chunk
        start = held.find(b"--" + boundary)
        if start >= 0 or len(held) > _MAX_PREAMBLE:
            held = held[max(start, 0) :]
            break
    yield held
    async for chunk in body:
        yield chunk


def _unreadable(why: str) -> Problem:
    if why.startswith("Too many files"):
        return Problem(400, f"The form can't be used: {why}")
    return Problem(
        400,
        f"The form can't be read: {why} Let an HTTP library make the form and its Content-Type.",
    )
