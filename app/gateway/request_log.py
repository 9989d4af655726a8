"""Who asks: each request has an id, which its answer and the log name, and is counted by route and
status.
"""

from __future__ import annotations

import re
import secrets

from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.problems import as_problem
from jobs.logs import log_ids
from jobs.traces import trace_id, traceparent

_REQUESTS = Counter("mmml_requests", "requests that were answered", ["route", "status"])
_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)


def is_untraced(scope: Scope) -> bool:
    """Requests that change nothing: they are many, and their addresses may be signed."""
    return scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS")


class RequestLog:
    """ASGI middleware, the outermost. ``X-Request-ID`` of the client is kept if it is short and
    plain, else there is a new one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = ""

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                MutableHeaders(scope=message).setdefault("X-Request-ID", request_id)
            await send(message)

        with log_ids(request=request_id, trace=trace_id(traceparent())):
            try:
                await self._app(scope, receive, send_noted)
            except Exception as error:
                if not status:  # what stands before this knows nothing of the id
                    await as_problem(error).response(scope["path"])(scope, receive, send_noted)
                raise
            finally:
                route = scope["route"].path if "route" in scope else "none"
                _REQUESTS.labels(route, status or "none").inc()


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)
