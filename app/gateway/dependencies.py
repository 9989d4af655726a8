"""Access as FastAPI dependencies: a route that takes a :class:`app.gateway.auth.Caller` is closed
to everybody else.

``Reader`` may look at its own jobs, ``Submitter`` is counted as sending work. Both are settled
before a byte of the body is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool

from app.gateway.api_keys import COOKIE, READ, SECURE_COOKIE
from app.gateway.auth import Caller, RateName
from app.gateway.middleware import name_uploader
from app.gateway.problems import Problem
from app.gateway.rate_limits import LimitStatus
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.logs import note_id


async def get_services(request: Request) -> Services:  # async: no thread is needed for it
    found: Services = request.app.state.services
    return found


ServicesDependency = Annotated[Services, Depends(get_services)]


_A_JOB = "0199c3f0a1b2c3d4e5f60718293a4b5c"
JobId = Annotated[str, Path(description="id of a job", examples=[_A_JOB])]
A_BATCH = f"batch_{_A_JOB}"
BatchId = Annotated[str, Path(description="id of a batch", examples=[A_BATCH])]
ImageIndex = Annotated[str, Path(description="number of the image, from 0", examples=["0"])]
BundleName = Annotated[str, Path(description="name of a bundle", examples=["aviary"])]
WorkerName = Annotated[str, Path(description="name of a live worker", examples=["gpu1-4711"])]


_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_bearer = HTTPBearer(
    scheme_name="API key", description="Not needed on an open service.", auto_error=False
)


def has_tls(request: Request, settings: GatewaySettings) -> bool:
    """Whether the client came over TLS, be it as far as a proxy."""
    return (settings.public_url or request.url.scheme).startswith("https")


def session_cookie(request: Request, settings: GatewaySettings) -> str:
    """The name of the cookie: over TLS no other is taken."""
    return SECURE_COOKIE if has_tls(request, settings) else COOKIE


class _Access(SecurityBase):
    """Anybody with a key or, only without one, a session's cookie; 401 and 429 otherwise. One
    dependency without others: to FastAPI each costs as much as checking the body does. What the
    OpenAPI document says of cookies, :mod:`app.gateway.api_document` adds.
    """

    model, scheme_name = _bearer.model, _bearer.scheme_name

    def __init__(self, counted: RateName) -> None:
        self._counted = counted

    async def __call__(self, request: Request) -> Caller:
        found = await self._authenticate(request)
        name_uploader(request, found.rate_limit_key)
        return found

    async def _authenticate(self, request: Request) -> Caller:
        services: Services = request.app.state.services
        address = request.client.host if request.client else ""
        if services.authenticator.cached_is_open:  # nobody has to be asked
            return Caller(None, address)
        bearer, session = await _bearer(request), None
        if not bearer and request.cookies:
            session = request.cookies.get(session_cookie(request, services.settings))
        key = bearer.credentials if bearer else None

        def authenticate_and_count() -> tuple[Caller, LimitStatus | None]:
            found = services.authenticator.authenticate(key, session, address)
            return found, services.authenticator.count(found, self._counted)

        found, standing = await run_in_threadpool(authenticate_and_count)  # both in one trip
        note_id("key", found.key_id)
        if found.key and session:
            _require_same_origin(request, services.settings.public_url)
        if standing:
            request.scope["mmml.standings"].append(standing)  # for the answer's headers
            standing.require(f"This key may send {standing.policy.item} ({standing.policy.name}).")
        return found


caller, submitter = _Access("read"), _Access("submit")


async def reader(caller: Annotated[Caller, Depends(caller)]) -> Caller:
    caller.require_scope(READ)
    return caller


AnyCaller = Annotated[Caller, Depends(caller)]
Reader = Annotated[Caller, Depends(reader)]
Submitter = Annotated[Caller, Depends(submitter)]


async def hold_stream_slot(caller: Reader, services: ServicesDependency) -> AsyncIterator[None]:
    """Holds one of the caller's streams for as long as the answer is being sent."""
    refusal = (
        "{limit} event streams are open already, which is all one caller may have. Close one, or "
        "poll instead."
    )
    with services.stream_slots.hold(caller.rate_limit_key, refusal, 5):
        yield


StreamSlot = Depends(hold_stream_slot)


def _require_same_origin(request: Request, public_url: str | None) -> None:
    """A browser sends its cookie along with other pages' requests too, so a change must come from a
    page of this very service.
    """
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("origin", "")
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        host = ""
    if origin != public_url if public_url else host != request.headers.get("host"):
        raise Problem(
            403, "With a session cookie, changes are taken from this service's own pages."
        )
