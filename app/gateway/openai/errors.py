"""Errors as users of the OpenAI API know them: ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

PREFIX = "/v1"
_ROUTES = re.compile(r"(?P<route>/images/(generations|edits)|/models)/?$")
MAX_RETRY_AFTER = 60  # seconds: a client that tries again by itself would not wait any longer

# Their users expect 400 where this service tells kinds of bad input apart.
_STATUS = {415: 400, 422: 400}
_CODES = {
    401: "invalid_api_key",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "service_unavailable",
    504: "timeout",
}


class ErrorView(BaseModel):
    """What went wrong."""

    message: str = Field(description="a sentence that says what to do")
    type: str = Field(description="invalid_request_error, rate_limit_error or server_error")
    param: str | None = Field(description="the option that can't be used")
    code: str | None = Field(description="the reason, for programs")


class ErrorResponse(BaseModel):
    """What every answer under /v1 other than success looks like."""

    error: ErrorView


# For the OpenAPI document.
_ANY = {
    "description": "An error in OpenAI's shape",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
}
RESPONSES: dict[int | str, dict[str, Any]] = {422: _ANY, "default": _ANY}


def is_openai_path(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def misplaced(path: str) -> str | None:
    """What to do when ``path`` is a route of this API behind another beginning than ``/v1``."""
    found = _ROUTES.search(path)
    if found is None or (path.startswith(found["route"], len(PREFIX)) and is_openai_path(path)):
        return None
    return (
        f"There is nothing at this address; the route is {PREFIX}{found['route']}. Give the client "
        f"a base URL that ends with {PREFIX}, once."
    )


def openai_error(
    problem: Mapping[str, Any], headers: Mapping[str, str]
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """(status, headers, body) for a problem as RFC 9457 has it."""
    status = int(problem["status"])
    error = ErrorView(
        message=problem["detail"],
        type=_type(status),
        param=next((e["field"] for e in problem.get("errors", ())), None),
        code=_code(status, problem),
    )
    return _STATUS.get(status, status), _with_retry_advice(headers), {"error": error.model_dump()}


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def _code(status: int, problem: Mapping[str, Any]) -> str | None:
    if "pictures" in problem.get("violated-policies", ()):
        return "insufficient_quota"
    return problem.get("code") or _CODES.get(status)


def _with_retry_advice(headers: Mapping[str, str]) -> dict[str, str]:
    """The client tries again by itself, but only soon: no use when it has to wait for long."""
    if int(headers.get("Retry-After", "0")) > MAX_RETRY_AFTER:
        return {**headers, "x-should-retry": "false"}
    return dict(headers)
