"""The gateway: puts the routes together, nothing else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware

from app.gateway import problems
from app.gateway.auth import ensure_keys
from app.gateway.middleware import BodyTimeout, HeadAsGet, HostGuard, UploadMemoryBudget
from app.gateway.routes import images, jobs, openai, service, studio, tasks
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.settings import VERSION

log = logging.getLogger(__name__)
_THREADS = 128  # calls to a store that hangs, before others have to wait behind them
_TOLD_TO_PAGES = (
    *("Location", "Retry-After", "ETag", "Link", "X-Request-ID", "WWW-Authenticate"),
    *("RateLimit", "RateLimit-Policy", "Idempotency-Replayed", "Preference-Applied"),
)
_DESCRIPTION = """Text-guided image generation: `/synthesize` makes pictures from text,
`/manipulate` edits a photo, `/inpaint` fills a hole in a photo. A request is answered with a job;
poll its address, or add `?wait=30`."""


def create_app(settings: GatewaySettings, services: Services | None = None) -> FastAPI:
    """The ASGI application. ``services`` replaces the backends that the settings name."""
    given = services or Services.connect(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = _THREADS
        await run_in_threadpool(ensure_keys, given.authenticator.keys, settings)
        for sentence in await run_in_threadpool(given.redis_warnings):
            log.warning("%s", sentence)
        async with given.lifespan():
            yield

    app = FastAPI(
        title="mmml",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        responses=problems.RESPONSES,
    )
    app.state.services = given
    problems.install_problem_handlers(app)
    for router in (
        tasks.router(),
        studio.router(),
        jobs.router,
        jobs.events_router,
        images.router,
        service.models_router,
        service.webhooks_router,
        openai.router,
        service.session_router,
        service.health_router,
    ):
        app.include_router(router)
    # The last one added sees a request first.
    app.add_middleware(HeadAsGet)
    app.add_middleware(UploadMemoryBudget, limit=settings.upload_memory)
    app.add_middleware(BodyTimeout, pause=settings.body_timeout, rate=settings.body_rate)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body)
    app.add_middleware(HostGuard, authenticator=given.authenticator, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            allow_private_network=True,  # a page on the internet, a service on this machine
            expose_headers=_TOLD_TO_PAGES,
        )
    return app
