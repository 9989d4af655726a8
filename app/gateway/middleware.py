"""What stands before every route: the host and origin check (HostGuard), time for bodies
(BodyTimeout), memory of all bodies together (UploadMemoryBudget), HEAD answered as GET (HeadAsGet);
the path of a proxy (PathPrefix).

Without keys the service is open to this machine only. A web page elsewhere could still make a
browser send requests here, so the Host and Origin headers must name this service (DNS rebinding,
cross-site requests), and the connection must have come in on a loopback address, whatever the
server listens on.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway import rate_limits
from app.gateway.auth import Authenticator
from app.gateway.problems import Problem
from app.settings import GatewaySettings
from jobs.errors import StoreError


class HostGuard:
    """ASGI middleware: 400 for a strange host, 403 for a strange origin or address, 413 for a body
    declared too large. Answers leave with the headers that say what is left of the caller's limits.
    """

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, settings: GatewaySettings
    ) -> None:
        self._app, self._authenticator, self._max_body = app, authenticator, settings.max_body
        public = {settings.public_url} if settings.public_url else set()
        self._hosts = frozenset(settings.allowed_hosts) | {_hostname(url) for url in public}
        self._origins = frozenset(settings.cors_origins) | public
        # Whoever sets the names means them with keys, too.
        self._always_check_host = "allowed_hosts" in settings.model_fields_set

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        standings: list[rate_limits.LimitStatus] = []
        scope["mmml.standings"] = standings

        async def send_with_limits(message: Message) -> None:
            if standings and message["type"] == "http.response.start":
                limits = rate_limits.rate_limit_headers(standings)
                message["headers"] = [*message.get("headers", []), *limits]
            await send(message)

        try:
            await self._check(scope)
        except Problem as problem:
            # What is left of the body is not waited for.
            problem.headers["Connection"] = "close"
            await problem.response(scope["path"])(scope, receive, send_with_limits)
        else:
            await self._app(scope, receive, send_with_limits)

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _require_one_host(scope, headers)
        if await self._is_open():
            self._check_origin(scope, headers)
        elif self._always_check_host:
            self._check_host(headers)
        self._check_content_length(headers)
        _refuse_encoding(headers)

    async def _is_open(self) -> bool:
        """Whether this machine alone may come in; also when that can't be found out just now."""
        known = self._authenticator.cached_is_open
        if known is not None:
            return known
        try:
            return await run_in_threadpool(self._authenticator.is_open)
        except StoreError:
            return True

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        # Behind a proxy on this machine the client is the one that the proxy names.
        # A server's end may be a unix socket too, which has a path.
        server = scope.get("server") or ("", None)
        ours = str(server[0]).startswith("/") or _is_loopback_endpoint(server)
        if not (ours and _is_loopback_endpoint(scope.get("client"))):
            raise Problem(
                403,
                "This service has no API keys, so it answers on 127.0.0.1 only. Make a key with "
                "'mmml keys create NAME' on its machine.",
            )
        self._check_host(headers)
        origin = headers.get("origin")
        if origin is not None and not self._is_allowed_host(origin):
            raise Problem(
                403,
                f"Web pages of {origin[:100]} may not use this service. List that origin in "
                "MMML_CORS_ORIGINS if they shall.",
            )

    def _check_host(self, headers: Headers) -> None:
        if not self._is_allowed_host(f"//{headers.get('host', '')}"):
            raise Problem(
                400,
                "This service does not answer under that host name. Use 127.0.0.1 or localhost, or "
                "list the name in MMML_ALLOWED_HOSTS.",
            )

    def _check_content_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        is_number = length.isascii() and length.isdigit()
        if is_number and (len(length) > 15 or int(length) > self._max_body):
            size = self._max_body // 2**20
            raise Problem(413, f"The request is larger than {size} MB. Scale the pictures down.")

    def _is_allowed_host(self, address: str) -> bool:
        if "*" in self._hosts or address in self._origins:
            return True
        return _hostname(address) in self._hosts


def _require_one_host(scope: Scope, headers: Headers) -> None:
    """A proxy and this service must not read different names (RFC 9112, section 3.2)."""
    hosts = headers.getlist("host")
    is_one = len(hosts) == 1 and hosts[0].strip()
    if not is_one and (hosts or scope["http_version"] != "1.0"):
        raise Problem(400, "A request names its host once, in one Host header that is not empty.")


def _refuse_encoding(headers: Headers) -> None:
    """A compressed body could be of any size once it is unpacked."""
    encodings = ", ".join(headers.getlist("content-encoding"))
    if encodings.strip().lower() not in ("", "identity"):
        raise Problem(
            415,
            f"Content-Encoding {encodings[:100]} is not taken: send the body as it is. Pictures "
            "are compressed already.",
            headers={"Accept-Encoding": "identity"},
        )


@lru_cache(64)  # headers may be long
def _hostname(address: str) -> str:
    """The host of an address, in brackets when it is of IPv6; empty when there is none."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    return f"[{host}]" if ":" in host else host


def _is_loopback_endpoint(end: Sequence[object] | None) -> bool:
    """Whether one end of the connection is a loopback address, or has none. A proxy that does
    not know its client may name it anything, such as "unknown".
    """
    return _is_loopback_address(str(end[0]) if end else "")


@lru_cache(1024)  # the same few addresses ask all the time
def _is_loopback_address(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return not name
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class BodyTimeout:
    """ASGI middleware: 408 when the body pauses for ``pause`` seconds, or when it has fallen behind
    ``rate`` bytes per second by as much: every byte postpones the end. Time that the service itself
    takes between two parts is not counted.
    """

    def __init__(self, app: ASGIApp, pause: float, rate: float) -> None:
        self._app, self._pause, self._rate = app, pause, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left, complete = self._pause, scope["type"] != "http"

        async def timed_receive() -> Message:
            nonlocal left, complete
            if complete:  # from here on only the client's going away is waited for
                return await receive()
            started = time.monotonic()
            try:
                async with asyncio.timeout(left):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408,
                    "The request's body took too long to arrive. Send it again, on a faster "
                    "connection or with smaller pictures.",
                    headers={"Connection": "close"},
                ) from None
            earned = len(message.get("body", b"")) / self._rate
            left = min(left - (time.monotonic() - started) + earned, self._pause)
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, timed_receive, send)


_SMALL_BODY = 1024 * 1024  # bytes of one body that get through when large ones fill the memory
_UPLOAD = "mmml.upload"  # in the scope


def name_uploader(request: Request, caller: str) -> None:
    """Whose the request's body is, before any of it is read."""
    upload: _Upload | None = request.scope.get(_UPLOAD)
    if upload:
        upload.name(caller)


def release_upload_memory(request: Request) -> None:
    """Nothing of the request's body is needed any more: others may have its memory while this one
    waits.
    """
    upload: _Upload | None = request.scope.get(_UPLOAD)
    if upload:
        upload.release()


class UploadMemoryBudget:
    """ASGI middleware: 503 for a large body that arrives while those of the requests in this
    process hold ``limit`` bytes already, and for any body while they hold twice as much. 429 for
    a caller's second large body when they hold more than is left for all others, and when there
    are more than ``most`` of them.
    """

    def __init__(self, app: ASGIApp, limit: int, most: int) -> None:
        self._app, self.limit, self.most, self.left = app, limit, most, limit
        self.held, self.large = Counter[str](), Counter[str]()  # bytes, bodies; by caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = _Upload(self, receive)
        scope[_UPLOAD] = upload
        try:
            await self._app(scope, upload.receive, send)
        finally:
            upload.release()


class _Upload:
    """The body of one request, as far as it has come."""

    def __init__(self, budget: UploadMemoryBudget, receive: Receive) -> None:
        self._budget, self._receive = budget, receive
        self._taken, self._caller = 0, ""

    async def receive(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self._count(size)
        if size and (problem := self._problem()):
            raise problem
        return message

    def name(self, caller: str) -> None:
        """Whose it is; until then it is counted for nobody."""
        taken = self._taken
        self._count(-taken)
        self._caller = caller
        self._count(taken)

    def release(self) -> None:
        self._count(-self._taken)

    def _count(self, size: int) -> None:
        if not size:
            return
        budget, was_large = self._budget, self._is_large
        self._taken += size
        budget.left -= size
        for counter, change in ((budget.held, size), (budget.large, self._is_large - was_large)):
            counter[self._caller] += change
            if not counter[self._caller]:
                del counter[self._caller]

    @property
    def _is_large(self) -> bool:
        return self._taken > _SMALL_BODY

    def _problem(self) -> Problem | None:
        budget, caller = self._budget, self._caller
        if budget.left < 0 and (self._is_large or budget.left < -budget.limit):
            return _too_much(503, "Too many uploads arrive at the same time")
        if not (caller and self._is_large):
            return None
        if budget.large[caller] > 1 and budget.held[caller] > budget.left:
            return _too_much(429, "Your uploads hold all the memory that one caller's may")
        if budget.large[caller] > budget.most:
            return _too_much(429, f"You are sending {budget.most} large bodies already")
        return None


def _too_much(status: int, what: str) -> Problem:
    detail = f"{what}. Try again in a few seconds."
    return Problem(status, detail, retry_after=5, headers={"Connection": "close"})


class PathPrefix:
    """ASGI middleware: routes see no prefix, be it that the proxy has taken it away or not. Where
    they lead on, which they do from a path with a slash too many, it is before the path.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_below(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 307:
                headers = MutableHeaders(scope=message)
                target = urlsplit(headers["location"])
                headers["location"] = target._replace(path=self._prefix + target.path).geturl()
            await send(message)

        path = scope.get("path", "")
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            changed = {"path": path[len(self._prefix) :] or "/"}
            await _call_changed(self._app, scope, changed, receive, send_below)
        else:
            await self._app(scope, receive, send_below)


class HeadAsGet:
    """ASGI middleware: routes see GET. An answer that is a stream ends with its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = False

        async def receive_until_answered() -> Message:
            return {"type": "http.disconnect"} if answered else await receive()

        async def send_head(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        await _call_changed(self._app, scope, {"method": "GET"}, receive_until_answered, send_head)


async def _call_changed(
    app: ASGIApp, scope: Scope, changed: dict[str, str], receive: Receive, send: Send
) -> None:
    """Call ``app`` with a changed scope. Which route it finds is noted in the original, too: the
    access log and the counts name requests as they came.
    """
    inner = {**scope, **changed}
    try:
        await app(inner, receive, send)
    finally:
        if "route" in inner:
            scope["route"] = inner["route"]
