"""About the service itself: health, bundles, and the secret that verifies webhooks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.gateway.dependencies import Reader, ServicesDependency, caller
from app.gateway.problems import Problem
from app.gateway.views import ModelsView, models_view
from app.webhooks.signing import signing_secrets
from jobs.settings import VERSION

health_router = APIRouter(tags=["health"])


@health_router.get("/healthz", summary="Alive?")
async def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok", "version": VERSION}


@health_router.get("/readyz", summary="Able to serve?")
async def readyz(services: ServicesDependency) -> dict[str, Any]:
    """The job store answers and at least one worker takes jobs."""
    workers = await run_in_threadpool(services.store.live_workers)
    if not workers:
        raise Problem(
            503,
            "No worker is ready yet. Jobs are accepted and wait for one.",
            headers={"Retry-After": "2"},
        )
    ready: dict[str, Any] = {"status": "ready", "workers": len(workers)}
    if await run_in_threadpool(
        services.authenticator.is_open
    ):  # anybody may ask, names are not for anybody
        ready["workers"] = [{"name": w["name"], "device": w.get("device")} for w in workers]
    if warnings := await run_in_threadpool(services.redis_warnings):
        ready["warnings"] = warnings
    return ready


models_router = APIRouter(prefix="/models", tags=["models"], dependencies=[Depends(caller)])


class VocabularyView(BaseModel):
    """The words that a bundle knows, in alphabetical order, by task."""

    bundle: str
    tasks: dict[str, list[str]]


@models_router.get("", summary="List bundles")
async def models(services: ServicesDependency) -> ModelsView:
    """Bundles, their tasks, methods, native sizes and licences, and each task's default."""
    return models_view(services.catalogue.current())


@models_router.get("/{bundle}/vocabulary", summary="List known words")
async def vocabulary(bundle: str, services: ServicesDependency) -> VocabularyView:
    """Every word that the bundle's text encoders know; all others are left out with a warning."""
    catalogue = services.catalogue.current()
    info = catalogue.bundles.get(bundle)
    if info is None:
        names = ", ".join(catalogue.bundles) or "none"
        raise Problem(404, f"There is no such bundle; there are: {names}.")
    tasks = {name: sorted(task.vocabulary.words[1:]) for name, task in info.tasks.items()}
    return VocabularyView(bundle=bundle, tasks=tasks)


webhooks_router = APIRouter(prefix="/webhooks", tags=["webhooks"])


class SecretView(BaseModel):
    """Keep it like a password: whoever has it can sign messages as this service does."""

    secret: str = Field(description="whsec_ and base64, as the Standard Webhooks libraries take it")


@webhooks_router.get("/secret", summary="Get the signing secret")
async def secret(services: ServicesDependency, caller: Reader, response: Response) -> SecretView:
    """The secret that verifies the `webhook-signature` of messages to your jobs' webhooks."""
    configured = services.settings.webhook_secret.get_secret_value()
    found = await run_in_threadpool(signing_secrets, configured, services.store, caller.owner)
    response.headers["Cache-Control"] = "no-store"
    return SecretView(secret=found[0])
