"""The gateway: its routes put together, and its HTTP server, uvicorn, which on SIGTERM takes no new
connection, ends waiting requests politely, and finishes those that are being answered; and what
depends on its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import redis
import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware

from app.gateway import problems
from app.gateway.api_document import DESCRIPTION, TAGS, DocumentedApp
from app.gateway.api_keys import KeyStore
from app.gateway.auth import AccessError, ensure_keys
from app.gateway.middleware import BodyTimeout, HeadAsGet, HostGuard, PathPrefix, UploadMemoryBudget
from app.gateway.protocol import TimedHttpProtocol, UnreadBudget
from app.gateway.request_log import RequestLog, is_untraced
from app.gateway.routes import admin, batches, docs, images, jobs, openai, service, studio, tasks
from app.gateway.services import Services
from app.gateway.subscriptions import JobSubscriptions
from app.settings import GatewaySettings
from jobs.connections import connect, wait_until_ready
from jobs.errors import StoreError
from jobs.logs import configure_logging
from jobs.metrics import serve_metrics
from jobs.settings import VERSION
from jobs.traces import configure_tracing

log = logging.getLogger(__name__)
_THREADS = 128  # calls to a store that hangs, before others have to wait behind them
_EXPOSED_HEADERS = (
    *("Location", "Retry-After", "ETag", "Link", "X-Request-ID", "WWW-Authenticate"),
    *("RateLimit", "RateLimit-Policy", "Idempotency-Replayed", "Preference-Applied"),
)


def create_app(settings: GatewaySettings, services: Services | None = None) -> FastAPI:
    """The ASGI application. ``services`` replaces the backends that the settings name."""
    given = services or Services(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = _THREADS
        await run_in_threadpool(ensure_keys, given.authenticator.keys, settings)
        for sentence in await run_in_threadpool(given.redis_warnings):
            log.warning("%s", sentence)
        async with given.lifespan():
            yield

    app = DocumentedApp(
        title="mmml",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=problems.RESPONSES,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        telemetry={"exclude": is_untraced, "operation_spans": False},
    )
    app.state.services = given
    problems.install_problem_handlers(app)
    _add_routes(app, settings.root_path)
    _add_middleware(app, given, settings)
    return app


def _add_routes(app: FastAPI, root_path: str) -> None:
    for router in (
        tasks.router(),
        studio.router(root_path),
        docs.router(root_path),
        jobs.router,
        jobs.events_router,
        images.router,
        batches.router,
        service.models_router,
        service.webhooks_router,
        openai.router,
        admin.router,
        service.session_router,
        service.health_router,
    ):
        app.include_router(router)


def _add_middleware(app: FastAPI, services: Services, settings: GatewaySettings) -> None:
    """The last one added sees a request first."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(UploadMemoryBudget, limit=settings.upload_memory, most=settings.max_uploads)
    app.add_middleware(BodyTimeout, pause=settings.body_timeout, rate=settings.body_rate)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body)
    app.add_middleware(HostGuard, authenticator=services.authenticator, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            allow_private_network=True,  # a page on the internet, a service on this machine
            expose_headers=_EXPOSED_HEADERS,
        )
    if settings.root_path:
        app.add_middleware(PathPrefix, prefix=settings.root_path)
    app.add_middleware(RequestLog)


_OPEN_FILES = 65_536
_BROKER_TIMEOUT = 30.0  # seconds for which a broker that still starts is waited for


def require_keys_unless_loopback(settings: GatewaySettings, host: str) -> GatewaySettings:
    """The settings, with API keys required where others than this machine can reach a server that
    listens on ``host``.
    """
    own = host == "localhost"
    with contextlib.suppress(ValueError):
        own = own or ip_address(host.strip("[]")).is_loopback
    return settings if own else settings.model_copy(update={"require_keys": True})


def check_access(settings: GatewaySettings, broker_timeout: float = _BROKER_TIMEOUT) -> None:
    """Let the first key in, once the broker answers. AccessError when keys are required and there
    is none, or when that can't be found out within ``broker_timeout`` seconds.
    """
    if not settings.require_keys and not settings.first_key:
        return
    client = connect(settings.redis_url)
    try:
        wait_until_ready(settings.redis_url, broker_timeout)
        ensure_keys(KeyStore(client, settings.redis_prefix), settings)
    except (redis.RedisError, StoreError) as error:
        raise AccessError(f"The API keys can't be read. {error}") from error
    finally:
        client.close()


def exit_on_sigterm() -> None:
    """End this process in order: uvicorn raises the signal again once it has shut down, which would
    otherwise be a death by signal.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))


def raise_open_file_limit() -> None:
    """Raise the number of open files as far as the system lets this process, within reason: each
    client is one.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def uvicorn_limits(settings: GatewaySettings) -> dict[str, Any]:
    """Keyword arguments for ``uvicorn.Config`` that keep hostile clients bounded."""
    protocol = {
        "header_timeout": settings.header_timeout,
        "write_timeout": settings.write_timeout,
        "unread": UnreadBudget(settings.unread_memory),
    }
    proxies_are_set = "trusted_proxies" in settings.model_fields_set
    return {
        "http": type("LimitedHttp", (TimedHttpProtocol,), protocol),
        "ws": "none",
        "server_header": False,
        "timeout_keep_alive": 5,
        # None: as uvicorn's own FORWARDED_ALLOW_IPS says.
        "forwarded_allow_ips": list(settings.trusted_proxies) if proxies_are_set else None,
    }


_FIRST_REQUEST_TIMEOUT = 1.0  # seconds for the request of a connection that was just made
_POLL_INTERVAL = 0.02
_SIGNATURE = re.compile(r"((?:^|[?&])signature=[^&\s]{4})[^&\s]*")


class WithoutSignatures(logging.Filter):
    """Keeps out of the access log what lets its readers see pictures."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and any("signature=" in str(x) for x in record.args):
            record.args = tuple(
                _SIGNATURE.sub(r"\1…", part) if isinstance(part, str) else part
                for part in record.args
            )
        return True


class GatewayServer(uvicorn.Server):
    """Wakes clients that wait for a job as soon as a shutdown begins: each gets the job as it is
    now, instead of a broken connection at the end of the grace time.
    """

    def __init__(self, config: uvicorn.Config, subscriptions: JobSubscriptions) -> None:
        super().__init__(config)
        self._subscriptions = subscriptions

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()  # what is there by now stays; to look at it again and again takes long
        gc.set_threshold(10_000)  # of 700, a tenth of the time went into looking for cycles

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._accept_pending_requests()
        # Runs once every open connection is marked to close after its answer.
        asyncio.get_running_loop().call_soon(self._subscriptions.close)
        await super().shutdown(sockets)

    async def _accept_pending_requests(self) -> None:
        """Take no new connection, but hear those that were made already: their first request is on
        its way, and to close them now would break it.
        """
        for connection in self._close_listeners():
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(_POLL_INTERVAL)
        deadline = time.monotonic() + _FIRST_REQUEST_TIMEOUT
        while self._has_pending_connections() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_INTERVAL)

    def _close_listeners(self) -> list[socket.socket]:
        """Close them when nobody stands before them, as they would be reset. Returns who did."""
        queued = []
        with contextlib.ExitStack() as duplicates:
            listeners = [
                duplicates.enter_context(socket.socket(fileno=os.dup(listener.fileno())))
                for server in self.servers
                for listener in server.sockets
            ]
            for server in self.servers:
                server.close()  # what listens on are the duplicates
            for listener in listeners:
                listener.setblocking(False)
                with contextlib.suppress(OSError):  # BlockingIOError: nobody
                    while True:
                        queued.append(listener.accept()[0])
        for connection in queued:
            connection.setblocking(False)
        return queued

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        state, given = self.server_state, self.lifespan.state
        return make(config=self.config, server_state=state, app_state=given)

    def _has_pending_connections(self) -> bool:
        lines = self.server_state.connections
        return any(isinstance(line, TimedHttpProtocol) and line.cycle is None for line in lines)


def gateway_server(
    settings: GatewaySettings, host: str, port: int, grace: float, services: Services | None = None
) -> GatewayServer:
    """The gateway at an address. ``grace``: seconds that running requests have on SIGTERM;
    ``services`` replaces the backends that the settings name.
    """
    app = create_app(settings, services)
    options = uvicorn_limits(settings)
    if settings.log_format == "json":  # uvicorn's own lines are for people
        configure_logging(settings)
        options["log_config"] = None
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="info",
        timeout_graceful_shutdown=round(grace),
        access_log=settings.access_log,
        **options,
    )
    logging.getLogger("uvicorn.access").addFilter(WithoutSignatures())
    serve_metrics(settings)
    configure_tracing(settings, "gateway")
    return GatewayServer(config, app.state.services.subscriptions)
