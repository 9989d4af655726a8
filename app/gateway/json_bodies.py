"""Bodies that are a few words in JSON. FastAPI's own way reads and parses a body of any size on the
event loop, and before it is known who sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from app.gateway.dependencies import AnyCaller
from app.gateway.problems import validated
from app.gateway.uploads import TEXT_BODY, is_json, media_type, parse_json, read_body, wrong_type
from jobs.requests import MAX_URL

M = TypeVar("M", bound=BaseModel)


class BatchRequest(BaseModel):
    """What a batch may have."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    webhook: str | None = Field(
        None, max_length=MAX_URL, description="HTTPS URL called when the batch ends"
    )


class PurgeRequest(BaseModel):
    """Which jobs; all that wait unless they are narrowed down."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    owner: str | None = Field(None, description="id of a key")
    task: str | None = Field(None, description="name of a task")


def json_body(kind: type[M], *, optional: bool = False) -> Callable[..., Awaitable[M]]:
    """A dependency: the body as ``kind``, read once the caller is known; without any value if it is
    empty and ``optional``. Raises Problem.
    """

    async def read(request: Request, _caller: AnyCaller) -> M:
        body = await read_body(request, TEXT_BODY)
        if optional and not body:
            return kind()
        if not is_json(request):
            raise wrong_type(media_type(request), "application/json")
        return validated(kind, parse_json(body))

    return read
