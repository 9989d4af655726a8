"""The HTTP server: uvicorn, which on SIGTERM takes no new connection, ends waiting requests
politely, and finishes those that are being answered.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
import time

import uvicorn

from app.gateway.application import create_app
from app.gateway.protocol import TimedHttpProtocol
from app.gateway.services import Services
from app.gateway.startup import uvicorn_limits
from app.gateway.subscriptions import JobSubscriptions
from app.settings import GatewaySettings

_FIRST_REQUEST_TIMEOUT = 1.0  # seconds for the request of a connection that was just made
_POLL_INTERVAL = 0.02
_SIGNATURE = re.compile(r"((?:^|[?&])signature=[^&\s]{4})[^&\s]*")


class WithoutSignatures(logging.Filter):
    """Keeps out of the access log what lets its readers see pictures."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._accept_pending_requests()
        # Runs once every open connection is marked to close after its answer.
        asyncio.get_running_loop().call_soon(self._subscriptions.close)
        await super().shutdown(sockets)

    async def _accept_pending_requests(self) -> None:
        """Take no new connection, but hear those that were made already: their first request is on
        its way, and to close them now would break it.
        """
        for _ in range(3):  # the listener takes what has queued up before it
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        await asyncio.sleep(_POLL_INTERVAL)
        deadline = time.monotonic() + _FIRST_REQUEST_TIMEOUT
        while self._has_pending_connections() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_INTERVAL)

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
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="info",
        timeout_graceful_shutdown=round(grace),
        **uvicorn_limits(settings),
    )
    logging.getLogger("uvicorn.access").addFilter(WithoutSignatures())
    return GatewayServer(config, app.state.services.subscriptions)
