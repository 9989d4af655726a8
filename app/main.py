"""The gateway: puts the routes together, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from app import problems
from app.deps import Services
from app.doorman import Doorman
from app.routes import events, health, images, jobs, models, tasks, webhooks
from app.settings import GatewaySettings
from jobs.version import VERSION

_DESCRIPTION = """Text-guided image generation: `/synthesize` makes pictures from text,
`/manipulate` edits a photo, `/inpaint` fills a hole in a photo. A request is answered with a job;
poll its address, or add `?wait=30`."""


def create_app(settings: GatewaySettings, services: Services | None = None) -> FastAPI:
    """The ASGI application. ``services`` replaces the backends that the settings name."""
    given = services or Services.connect(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with given.running():
            yield

    app = FastAPI(title="mmml", version=VERSION, description=_DESCRIPTION, lifespan=lifespan)
    app.state.services = given
    problems.install(app)
    routers = (jobs, events, images, models, webhooks, health)
    for router in (tasks.router(), *(module.router for module in routers)):
        app.include_router(router)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body)
    app.add_middleware(Doorman, allowed_hosts=settings.allowed_hosts, max_body=settings.max_body)
    return app
