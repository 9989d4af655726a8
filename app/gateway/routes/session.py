"""``/session``: who am I, and a cookie for web pages."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.gateway.admission import check_memory
from app.gateway.api_keys import ApiKey
from app.gateway.auth import Caller
from app.gateway.dependencies import AnyCaller, ServicesDependency
from app.gateway.services import Services
from app.gateway.sessions import COOKIE, LIFETIME, end_session, start_session

router = APIRouter(prefix="/session", tags=["access"])


class SessionView(BaseModel):
    """The caller as the service sees it."""

    open: bool = Field(description="no key is needed")
    key: str | None = Field(description="the key's id")
    name: str | None
    scopes: list[str]


@router.get("", summary="Who am I?")
async def get_session(caller: AnyCaller) -> SessionView:
    """The key that came with this request."""
    if caller.key is None:
        return SessionView(open=True, key=None, name=None, scopes=[])
    key = caller.key
    return SessionView(open=False, key=key.id, name=key.name, scopes=sorted(key.scopes))


@router.post("", status_code=204, summary="Trade a key for a cookie")
async def start(request: Request, services: ServicesDependency, caller: AnyCaller) -> Response:
    """For web pages: pictures and event streams are then fetched without a key in their address.
    An open service needs no cookie and sets none.
    """
    response = Response(status_code=204)
    if caller.key is not None:
        value = await run_in_threadpool(_start, services, caller, caller.key)
        response.set_cookie(
            COOKIE,
            value,
            max_age=LIFETIME,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


def _start(services: Services, caller: Caller, key: ApiKey) -> str:
    services.authenticator.count_login(caller)
    check_memory(services.store, services.settings)
    return start_session(services.authenticator.sessions, key)


@router.delete("", status_code=204, summary="End the session")
async def end(request: Request, services: ServicesDependency, _caller: AnyCaller) -> Response:
    """The cookie is worth nothing from now on."""
    value = request.cookies.get(COOKIE)
    if value:
        await run_in_threadpool(end_session, services.authenticator.sessions, value)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response
