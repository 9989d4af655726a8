"""Errors as ``application/problem+json`` (RFC 9457): every one carries a sentence that says what
to do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from app.gateway.openai.errors import is_openai_path, misplaced, openai_error
from jobs.errors import BlobError, ImageProblem, StoreError, UnreadableRecord

M = TypeVar("M", bound=BaseModel)
log = logging.getLogger(__name__)
_MOST_ERRORS = 10  # reported of one request
# As RFC 9110 has them; HTTPStatus before Python 3.13 has older ones.
_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
MEDIA_TYPE = "application/problem+json"
_SENTENCES = {
    404: "There is nothing at this address. GET /docs lists what there is.",
    405: "This address does not take that method. GET /docs lists what it takes.",
    413: "The request is too large. Scale the pictures down, or send them as multipart files.",
}


class ProblemView(BaseModel):
    """What every answer other than success looks like; some have more members."""

    type: str = Field(description="about:blank, or the address of a registered type")
    title: str = Field(description="phrase of the status")
    status: int = Field(description="of HTTP")
    detail: str = Field(description="a sentence that says what to do")
    instance: str = Field(description="path of the request")
    errors: list[dict[str, str]] | None = Field(None, description="single fields of the request")


# For the OpenAPI document: any route may answer with a problem.
_ANY = {
    "description": "A problem (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
}
RESPONSES: dict[int | str, dict[str, Any]] = {422: _ANY, "default": _ANY}


class Problem(Exception):
    """An answer other than success. ``errors`` lists single fields; ``retry_after``: seconds;
    ``extra`` adds members.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        retry_after: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, list(errors)
        self.headers, self.extra = dict(headers or {}), extra
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def response(self, instance: str) -> Response:
        """The answer to the request for ``instance``, a URL path; under /v1 in OpenAI's shape."""
        body = self.body(instance)
        if is_openai_path(instance):
            status, headers, openai_body = openai_error(body, self.headers)
            return Response(_json(openai_body), status, headers, "application/json")
        return Response(_json(body), self.status, self.headers, MEDIA_TYPE)

    def body(self, instance: str) -> dict[str, Any]:
        """As RFC 9457 has it."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": _PHRASES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **self.extra,
        }
        if self.errors:
            body["errors"] = self.errors
        return body


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def validation_problem(error: ValidationError | RequestValidationError) -> Problem:
    """422 from pydantic's findings, one sentence per field."""
    errors = []
    for found in error.errors()[:_MOST_ERRORS]:
        # What is in brackets names the branch of a union, not a field.
        names = [str(p) for p in found["loc"] if p not in ("query", "path", "header")]
        place = ".".join(name for name in names if not name.startswith("("))
        errors.append({"field": place[:100] or "body", "detail": _message(found)[:300]})
    return field_problem(errors)


def validated(kind: type[M], given: Mapping[str, Any], strict: bool = False) -> M:
    """What was given, as that class. Problem 422 otherwise. ``strict``: no numbers as text."""
    try:
        return kind.model_validate(dict(given), strict=strict)
    except ValidationError as error:
        raise validation_problem(error) from error


def field_problem(errors: Sequence[Mapping[str, str]]) -> Problem:
    """422 from what is wrong with single fields."""
    sentences = "; ".join(_sentence(e["field"], e["detail"]) for e in errors)
    return Problem(422, f"The request can't be used: {sentences}.", errors=errors)


def _message(found: Mapping[str, Any]) -> str:
    """What is wrong with one field, and what would be right."""
    limits = found.get("ctx", {})
    whole = "must be a whole number"
    known = {
        "missing": "is required",
        "extra_forbidden": "is not a field of this request; GET /docs lists those that are",
        "string_too_short": "is empty; describe the picture in words",
        "string_too_long": f"has more than {limits.get('max_length')} characters; shorten it",
        "string_type": "must be a string",
        "string_unicode": "must be Unicode text; it holds half of a surrogate pair",
        "int_type": whole,
        "int_parsing": whole,
        "int_parsing_size": f"{whole} of a sensible size",
        "int_from_float": whole,
        "greater_than_equal": f"must be at least {limits.get('ge')}",
        "less_than_equal": f"must be at most {limits.get('le')}",
        "greater_than": f"must be more than {limits.get('gt')}",
        "finite_number": "must be a finite number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "too_short": f"has fewer than {limits.get('min_length')} entries",
        "too_long": f"has more than {limits.get('max_length')} entries",
        "literal_error": f"must be {limits.get('expected')}",
        "enum": f"must be {limits.get('expected')}",
    }
    return known.get(str(found["type"]), str(found["msg"]).removeprefix("Value error, "))


def _sentence(field: str, message: str) -> str:
    if field == "body":  # it concerns several fields, and names them
        return message
    starts_a_clause = message.startswith(("is ", "has ", "contains ", "can't ", "must "))
    return f"{field}{'' if starts_a_clause else ':'} {message[:1].lower()}{message[1:]}"


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of the app a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 204:
            return Response(status_code=204, headers=error.headers)  # nothing to tell is no problem
        path = request.url.path
        problem = as_problem(error)
        if problem.status == 404 and isinstance(error, HTTPException):
            problem.detail = misplaced(path) or problem.detail
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(_allowed_methods(request))
        return problem.response(path)

    kinds: tuple[type[Exception], ...] = (
        Problem,
        ImageProblem,
        RequestValidationError,
        HTTPException,
        ClientDisconnect,
        StoreError,
        BlobError,
        Exception,
    )
    for kind in kinds:
        app.add_exception_handler(kind, on_problem)


def _allowed_methods(request: Request) -> list[str]:
    """Of all routes of the address: the framework names those of the first. HEAD is GET here."""

    def allowed(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    found = [method for method in ("DELETE", "GET", "PATCH", "POST", "PUT") if allowed(method)]
    return sorted([*found, "HEAD"] if "GET" in found else found)


def as_problem(error: Exception) -> Problem:
    """The problem that a client gets for any error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ImageProblem):
        return Problem(error.status, error.detail[:1].upper() + error.detail[1:])
    if isinstance(error, RequestValidationError):
        return validation_problem(error)
    if isinstance(error, HTTPException):
        detail = _SENTENCES.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code == 413:  # what is left of the body is not read
            headers["Connection"] = "close"
        return Problem(error.status_code, detail, headers=headers)
    if isinstance(error, ClientDisconnect):  # nobody hears it, and nobody needs to know
        return Problem(400, "The request was incomplete. Send it again.")
    if isinstance(error, BlobError):
        log.error("%s", error)
        detail = f"{error.reason} Try again later."
        return Problem(503, detail, retry_after=60 if error.lasting else 5)
    if isinstance(error, StoreError):
        return _store_problem(error)
    log.exception("unexpected error", exc_info=error)
    return Problem(
        500, "An unexpected error occurred in the service; its log has the details. Try again."
    )


def _store_problem(error: StoreError) -> Problem:
    if isinstance(error, UnreadableRecord):
        detail = "This job is of another version of the service. Ask again after its upgrade."
        return Problem(503, detail, retry_after=60)
    log.error("%s", error)
    detail = "The service can't reach its storage just now. Try again in a few seconds."
    return Problem(503, detail, retry_after=5)
