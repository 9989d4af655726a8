"""Bodies that never come to an end: a pause that is too long, or a trickle, ends the request."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.problems import Problem


class SlowBody:
    """ASGI middleware: 408 when the body pauses for ``pause`` seconds, or when it has fallen behind
    ``rate`` bytes per second by as much.
    """

    def __init__(self, app: ASGIApp, pause: float, rate: float) -> None:
        self._app, self._pause, self._rate = app, pause, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _Patience(receive, self._pause, self._rate)
        await self._app(scope, receive, send)


class _Patience:
    """A ``receive`` with a deadline that every byte postpones. Time that the service itself takes
    between two calls is not counted.
    """

    def __init__(self, receive: Receive, pause: float, rate: float) -> None:
        self._receive, self._pause, self._rate = receive, pause, rate
        self._left = pause
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:  # from here on only the client's going away is waited for
            return await self._receive()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408,
                "The request's body took too long to arrive. Send it again, on a faster "
                "connection or with smaller pictures.",
                headers={"Connection": "close"},
            ) from None
        earned = len(message.get("body", b"")) / self._rate
        self._left = min(self._left - (time.monotonic() - started) + earned, self._pause)
        self._complete = not message.get("more_body", False)
        return message
