"""Access as FastAPI dependencies: a route that takes a :class:`app.gateway.auth.Caller` is closed
to everybody else.

``Reader`` may look at its own jobs, ``Submitter`` is counted as sending work. Both are settled
before a byte of the body is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from app.gateway.api_keys import READ
from app.gateway.auth import Caller, Gate
from app.gateway.problems import Problem
from app.gateway.rate_limits import Standing, exceeded
from app.gateway.services import Services
from app.gateway.sessions import COOKIE


def services_of(request: Request) -> Services:
    """The app's services."""
    found: Services = request.app.state.services
    return found


async def services(request: Request) -> Services:  # async: no thread is needed for it
    """:func:`services_of`, as a dependency."""
    return services_of(request)


Given = Annotated[Services, Depends(services)]


_SAFE = ("GET", "HEAD", "OPTIONS")
_bearer = HTTPBearer(
    scheme_name="API key", description="Not needed on an open service.", auto_error=False
)
_cookie = APIKeyCookie(
    name=COOKIE, scheme_name="Session", description="From POST /session.", auto_error=False
)


@dataclass(frozen=True)
class Shown:
    """What a request shows of itself: a key or, only without one, a session's cookie."""

    key: str | None
    session: str | None


# Each dependency of a dependency costs a request as much as checking its body does, so there are no
# more of them than the OpenAPI document needs.
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Cookie = Annotated[str | None, Depends(_cookie)]


def _shown(bearer: HTTPAuthorizationCredentials | None, cookie: str | None) -> Shown:
    return Shown(bearer.credentials, None) if bearer else Shown(None, cookie)


async def caller(request: Request, bearer: Bearer, cookie: Cookie) -> Caller:
    """Anybody with a key, looking at something; 401 and 429 otherwise."""
    return await _admitted(request, _shown(bearer, cookie), Gate.count_request)


async def reader(found: Annotated[Caller, Depends(caller)]) -> Caller:
    """A caller who may look at jobs."""
    found.require(READ)
    return found


async def submitter(request: Request, bearer: Bearer, cookie: Cookie) -> Caller:
    """A caller who sends work; the route checks the task's scope."""
    return await _admitted(request, _shown(bearer, cookie), Gate.count_submission)


AnyCaller = Annotated[Caller, Depends(caller)]
Reader = Annotated[Caller, Depends(reader)]
Submitter = Annotated[Caller, Depends(submitter)]


async def stream(found: Reader, services: Given) -> AsyncIterator[None]:
    """Holds one of the caller's streams for as long as the answer is being sent."""
    with services.streams.take(found.name) as free:
        if not free:
            raise Problem(
                429,
                f"{services.streams.most} event streams are open already, which is all one caller "
                f"may have. Close one, or poll instead.",
                headers={"Retry-After": "5"},
            )
        yield


Stream = Depends(stream)


async def download(found: Reader, services: Given) -> AsyncIterator[None]:
    """Counts a picture that is being sent to the caller."""
    with take_download(services, found.name):
        yield


Download = Depends(download)


@contextmanager
def take_download(services: Services, who: str) -> Iterator[None]:
    """One of the pictures that ``who`` fetches at a time. Raises Problem 429."""
    with services.downloads.take(who) as free:
        if not free:
            raise Problem(
                429,
                f"{services.downloads.most} pictures are being fetched already, which is all one "
                "caller may fetch at a time. Read them first.",
                headers={"Retry-After": "2"},
            )
        yield


Count = Callable[[Gate, Caller], Standing | None]


async def _admitted(request: Request, given: Shown, count: Count) -> Caller:
    services = services_of(request)
    address = request.client.host if request.client else ""
    if services.gate.known_open:  # nobody has to be asked
        return Caller(None, address)
    found, standing = await run_in_threadpool(_admit, services.gate, given, address, count)
    if found.key and given.session:
        _same_origin(request)
    if standing:
        tell(request, standing)
    if standing and not standing.allowed:
        item = standing.policy.item
        raise exceeded(standing, f"This key may send {item} ({standing.policy.name}).")
    return found


def _admit(gate: Gate, given: Shown, address: str, count: Count) -> tuple[Caller, Standing | None]:
    """Both in one trip to a thread."""
    found = gate.admit(given.key, given.session, address)
    return found, count(gate, found)


def tell(request: Request, standing: Standing) -> None:
    """Have the answer's headers say what is left."""
    request.scope.setdefault("mmml.standings", []).append(standing)


def _same_origin(request: Request) -> None:
    """A browser sends its cookie along with other pages' requests too, so a change must come from a
    page of this very service.
    """
    if request.method in _SAFE:
        return
    try:
        origin = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:
        origin = ""
    if origin != request.headers.get("host"):
        raise Problem(
            403, "With a session cookie, changes are taken from this service's own pages."
        )
