"""About the service itself: health, bundles, and the secret that verifies webhooks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.gateway.problems import Problem
from app.gateway.services import Given, off_loop
from jobs.version import VERSION

health_router = APIRouter(tags=["health"])


@health_router.get("/healthz", summary="Alive?")
async def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok", "version": VERSION}


@health_router.get("/readyz", summary="Able to serve?")
async def readyz(services: Given) -> dict[str, Any]:
    """The job store answers and at least one worker takes jobs."""
    workers = await off_loop(services.store.workers)
    if not workers:
        raise Problem(
            503,
            "No worker is ready yet. Jobs are accepted and wait for one.",
            headers={"Retry-After": "2"},
        )
    ready: dict[str, Any] = {"status": "ready", "workers": len(workers)}
    if await off_loop(services.gate.open):  # anybody may ask, names are not for anybody
        ready["workers"] = [{"name": w["name"], "device": w.get("device")} for w in workers]
    if warnings := await off_loop(services.redis_warnings):
        ready["warnings"] = warnings
    return ready
