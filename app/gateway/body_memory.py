"""All bodies together: many large uploads at a time must not fill the memory, however small each
of them is beside the limit of one.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.problems import Problem

_SMALL = 1024 * 1024  # bytes of one body that get through when large ones fill the memory
_RELEASE = "mmml.release_body"  # in the scope


def release_body(request: Request) -> None:
    """Nothing of the request's body is needed any more: others may have its memory while this one
    waits.
    """
    release: Callable[[], None] | None = request.scope.get(_RELEASE)
    if release:
        release()


class BodyMemory:
    """ASGI middleware: 503 for a large body that arrives while those of the requests in this
    process hold ``most`` bytes already, and for any body while they hold twice as much.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most, self._left = app, most, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken += size
            self._left -= size
            if size and self._left < 0 and (taken > _SMALL or self._left < -self._most):
                raise Problem(
                    503,
                    "Too many uploads arrive at the same time. Try again in a few seconds.",
                    headers={"Retry-After": "5", "Connection": "close"},
                )
            return message

        def release() -> None:
            nonlocal taken
            self._left += taken
            taken = 0

        try:
            await self._app({**scope, _RELEASE: release}, counted, send)
        finally:
            release()
