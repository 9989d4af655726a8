"""About the service itself: health, bundles, and the secret that verifies webhooks; and who its
caller is, with a cookie for web pages.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import FileResponse

from app.gateway.admission import check_memory
from app.gateway.api_keys import ADMIN, LIFETIME
from app.gateway.dependencies import (
    AnyCaller,
    BundleName,
    Reader,
    ServicesDependency,
    caller,
    has_tls,
    session_cookie,
)
from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.views import ModelsView, models_view
from app.webhooks.signing import signing_secrets
from jobs.requests import TASKS
from jobs.settings import VERSION

health_router = APIRouter(tags=["health"])


class HealthView(BaseModel):
    """A process that runs."""

    status: Literal["ok"] = Field(description="always ok")
    version: str = Field(description="of the service")


class ReadyWorker(BaseModel):
    """A worker that accepts jobs."""

    name: str = Field(description="its name")
    device: str | None = Field(description="where its networks run: cpu, cuda, mps")


class BundleState(BaseModel):
    """How a bundle is served."""

    sha256: str = Field(description="of the bundle.json that requests are read with")
    workers: int = Field(description="that can load it")
    of_another_version: int = Field(description="of these, how many have another version")


class ReadyView(BaseModel):
    """That jobs are served, and by whom."""

    status: Literal["ready"] = Field(description="always ready")
    workers: list[ReadyWorker] | int = Field(description="or their number, for who has no key")
    tasks: dict[str, dict[str, BundleState]] = Field(
        {}, description="by task and bundle; for administrators and open services"
    )
    warnings: list[str] = Field([], description="what is wrong with Redis's settings, if anything")


@health_router.get("/healthz", summary="Check that the process runs")
async def healthz() -> HealthView:
    """Answers as long as this process runs."""
    return HealthView(status="ok", version=VERSION)


@health_router.get(
    "/readyz",
    summary="Check that jobs are served",
    response_model=ReadyView,
    response_model_exclude_unset=True,
)
def readyz(request: Request, services: ServicesDependency) -> dict[str, Any]:
    """200 if the job store answers and at least one worker accepts jobs, else 503. Administrators,
    and callers of an open service, see the workers and, by task, the bundles that they can load.
    """
    workers = services.store.live_workers()
    if not workers:
        detail = "No worker is ready yet. Jobs are accepted and wait for one."
        raise Problem(503, detail, retry_after=2)
    ready: dict[str, Any] = {"status": "ready", "workers": len(workers)}
    if _may_see_names(services, request):
        ready["workers"] = [{"name": w["name"], "device": w.get("device")} for w in workers]
        ready["tasks"] = {task: _bundle_states(services, workers, task) for task in TASKS}
    if warnings := services.redis_warnings():
        ready["warnings"] = warnings
    return ready


def _may_see_names(services: Services, request: Request) -> bool:
    """Anybody may ask, names are not for anybody."""
    if services.authenticator.is_open():
        return True
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    address = request.client.host if request.client else ""
    try:
        found = services.authenticator.authenticate(key.strip() or None, None, address)
    except Problem:
        return False
    return kind.lower() == "bearer" and found.has_scope(ADMIN)


def _bundle_states(
    services: Services, workers: Sequence[Mapping[str, Any]], task: str
) -> dict[str, dict[str, Any]]:
    """By bundle that offers ``task`` here: how many workers can load it, and how many of these have
    another version.
    """
    catalogue = services.catalogue.current()
    result = {}
    for name in catalogue.bundles_offering(task):
        offers = [worker.get("bundles", {}).get(name) for worker in workers]
        able = [offer["sha256"] for offer in offers if offer and task in offer["tasks"]]
        sha256 = catalogue.bundles[name].sha256
        others = len(able) - able.count(sha256)
        result[name] = {"sha256": sha256, "workers": len(able), "of_another_version": others}
    return result


models_router = APIRouter(prefix="/models", tags=["models"], dependencies=[Depends(caller)])


class VocabularyView(BaseModel):
    """The words that a bundle knows, in alphabetical order, by task."""

    bundle: str = Field(description="its name")
    tasks: dict[str, list[str]] = Field(
        description="by task, the known words in alphabetical order"
    )


@models_router.get("", summary="List bundles")
async def list_models(services: ServicesDependency) -> ModelsView:
    """All bundles with their tasks, methods, sizes and licences, and the default of each task."""
    return models_view(services.catalogue.current(), services.settings.root_path)


@models_router.get("/{bundle}/vocabulary", summary="List known words")
async def get_vocabulary(bundle: BundleName, services: ServicesDependency) -> VocabularyView:
    """Every word that the bundle's text encoders know. Other words are ignored, with a warning."""
    catalogue = services.catalogue.current()
    info = catalogue.bundles.get(bundle)
    if info is None:
        names = ", ".join(catalogue.bundles) or "none"
        raise Problem(404, f"There is no such bundle; there are: {names}.")
    tasks = {name: sorted(task.vocabulary.words[1:]) for name, task in info.tasks.items()}
    return VocabularyView(bundle=bundle, tasks=tasks)


@models_router.get("/{bundle}/picture", include_in_schema=False)
def picture(bundle: str, services: ServicesDependency) -> Response:
    """What the bundle makes, as ``picture.webp`` in its folder shows it; for the studio."""
    info = services.catalogue.current().bundles.get(bundle)
    path = info.folder / "picture.webp" if info else None
    if path is None or not path.is_file():
        raise Problem(404, "This bundle has no picture.")
    return FileResponse(path, headers={"Cache-Control": "private, max-age=3600"})


webhooks_router = APIRouter(prefix="/webhooks", tags=["webhooks"])


class SecretView(BaseModel):
    """Keep it like a password: whoever has it can sign messages as this service does."""

    secret: str = Field(description="whsec_ and base64, as the Standard Webhooks libraries take it")


@webhooks_router.get("/secret", summary="Get the signing secret")
def get_webhook_secret(
    services: ServicesDependency, caller: Reader, response: Response
) -> SecretView:
    """The secret that verifies the `webhook-signature` of messages to the webhooks of your jobs."""
    configured = services.settings.webhook_secret.get_secret_value()
    response.headers["Cache-Control"] = "no-store"
    return SecretView(secret=signing_secrets(configured, services.store, caller.owner)[0])


session_router = APIRouter(prefix="/session", tags=["access"])


class SessionView(BaseModel):
    """The caller as the service sees it."""

    open: bool = Field(description="no key is needed")
    key: str | None = Field(description="the key's id")
    name: str | None = Field(description="that the key was created with; null without a key")
    scopes: list[str] = Field(description="what the key may do: names of tasks, read, admin")


@session_router.get("", summary="Get the caller")
async def get_session(caller: AnyCaller) -> SessionView:
    """The key that was sent with this request."""
    if caller.key is None:
        return SessionView(open=True, key=None, name=None, scopes=[])
    key = caller.key
    return SessionView(open=False, key=key.id, name=key.name, scopes=sorted(key.scopes))


@session_router.post("", status_code=204, summary="Start a session")
def create_session(request: Request, services: ServicesDependency, caller: AnyCaller) -> Response:
    """Sets a cookie for web pages, which then fetch images and event streams without a key in the
    URL. An open service needs no cookie and sets none.
    """
    response = Response(status_code=204)
    if caller.key is not None:
        services.authenticator.count_login(caller)
        check_memory(services.store, services.settings)
        value = secrets.token_urlsafe(32)
        services.authenticator.sessions.put(value, caller.key.id, LIFETIME)
        response.set_cookie(
            session_cookie(request, services.settings),
            value,
            max_age=LIFETIME,
            httponly=True,
            samesite="strict",
            secure=has_tls(request, services.settings),
        )
    return response


@session_router.delete("", status_code=204, summary="End the session")
def delete_session(request: Request, services: ServicesDependency, _caller: AnyCaller) -> Response:
    """Invalidates the cookie."""
    name, secure = session_cookie(request, services.settings), has_tls(request, services.settings)
    if value := request.cookies.get(name):
        services.authenticator.sessions.remove(value)
    response = Response(status_code=204)
    response.delete_cookie(name, secure=secure, httponly=True, samesite="strict")
    return response
