"""A gateway's backends on a real broker, and a gateway on a port, for tests with settings of their
own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.gateway.server import create_app, uvicorn_limits
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.job import new_id


class LocalClient(TestClient):
    """Requests as they come from this machine."""

    def __init__(
        self,
        app: FastAPI,
        base_url: str = "http://127.0.0.1:8000",
        client: tuple[str, int] = ("127.0.0.1", 50000),
        **options: Any,
    ) -> None:
        super().__init__(app, base_url=base_url, client=client, **options)


def connected(settings: GatewaySettings, redis_url: str) -> Services:
    """With keys of its own on that broker, so that it finds nothing of other tests."""
    own = {"redis_url": redis_url, "redis_prefix": f"{new_id()}:"}
    return Services(settings.model_copy(update=own))


@contextmanager
def listening(services: Services) -> Iterator[int]:
    """The port of a gateway under uvicorn, in a thread, with the limits of production."""
    app = create_app(services.settings, services)
    limits = uvicorn_limits(services.settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", **limits))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the gateway does not start"
        time.sleep(0.02)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
