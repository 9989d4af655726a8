"""The HTTP server: uvicorn, which on SIGTERM takes no new connection, ends waiting requests
politely, and finishes those that are being answered.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from app.deps import Services
from app.listening import server_limits
from app.main import create_app
from app.settings import GatewaySettings
from app.waiters import Waiters


class Server(uvicorn.Server):
    """Wakes clients that wait for a job as soon as a shutdown begins: each gets the job as it is
    now, instead of a broken connection at the end of the grace time.
    """

    def __init__(self, config: uvicorn.Config, waiters: Waiters) -> None:
        super().__init__(config)
        self._waiters = waiters

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Runs once every open connection is marked to close after its answer.
        asyncio.get_running_loop().call_soon(self._waiters.close)
        await super().shutdown(sockets)


def gateway_server(
    settings: GatewaySettings, host: str, port: int, grace: float, services: Services | None = None
) -> Server:
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
        **server_limits(settings),
    )
    return Server(config, app.state.services.waiters)
