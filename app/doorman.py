"""Who may come in: checks that need no body, before anything else sees the request.

Without keys the service is open to this machine only. A web page elsewhere could still make a
browser send requests
here, so the Host and Origin headers must name this service (DNS rebinding, cross-site requests).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import Problem


class Doorman:
    """ASGI middleware: 400 for a strange host, 403 for a strange origin, 413 for a body declared
    too large.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], max_body: int) -> None:
        self._app, self._hosts, self._max_body = app, frozenset(allowed_hosts), max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem.response(scope["path"])(scope, receive, send)

    def _refusal(self, headers: Headers) -> Problem | None:
        if not self._known(f"//{headers.get('host', '')}"):
            return Problem(
                400,
                "This service does not answer under that host name. Use 127.0.0.1 or localhost, "
                "or list the name in "
                "MMML_ALLOWED_HOSTS.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._known(origin):
            return Problem(403, f"Web pages of {origin[:100]} may not use this service.")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            megabytes = self._max_body // 2**20
            return Problem(
                413, f"The request is larger than {megabytes} MB. Scale the pictures down."
            )
        return None

    def _known(self, address: str) -> bool:
        if "*" in self._hosts:
            return True
        try:
            host = urlsplit(address).hostname or ""
        except ValueError:
            return False
        return (f"[{host}]" if ":" in host else host) in self._hosts
