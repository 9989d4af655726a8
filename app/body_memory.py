"""All bodies together: many large uploads at a time must not fill the memory, however small each
of them is beside the limit of one.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import Problem

_SMALL = 1024 * 1024  # bytes of one body that are always taken, so that small requests get through


class BodyMemory:
    """ASGI middleware: 503 for a large body that arrives while those of the requests in this
    process hold ``most`` bytes already.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._left = app, most

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
            if self._left < 0 and taken > _SMALL:
                raise Problem(
                    503,
                    "Too many large uploads arrive at the same time. Try again in a few seconds.",
                    headers={"Retry-After": "5", "Connection": "close"},
                )
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._left += taken
