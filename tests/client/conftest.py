"""Clients on a gateway of this process, and a worker that takes one job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from anyio import to_thread
from fastapi.testclient import TestClient

from app.gateway.services import Services
from jobs.job import Status
from mmml import AsyncClient, Client
from tests.app import conftest as gateway
from tests.app.conftest import succeed

settings, services, client = gateway.settings, gateway.services, gateway.client


class Through(httpx.BaseTransport):
    """Passes requests to a test client."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._client.request(
            request.method,
            str(request.url.copy_with(scheme="http", host="127.0.0.1", port=None)),
            content=request.read(),
            headers={k: v for k, v in request.headers.items() if k != "host"},
        )
        return httpx.Response(
            answer.status_code, headers=dict(answer.headers), content=answer.content
        )


class Threaded(httpx.AsyncBaseTransport):
    """A blocking transport for an asynchronous client."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await to_thread.run_sync(self._transport.handle_request, request)


@pytest.fixture
def through(client: TestClient) -> Through:
    return Through(client)


@pytest.fixture
def mmml(through: Through) -> Iterator[Client]:
    with Client(transport=through) as made:
        yield made


@pytest.fixture
def open_async(through: Through) -> Callable[[], AsyncClient]:
    """An asynchronous client of the same gateway, made in the loop that uses it."""
    return lambda: AsyncClient(transport=Threaded(through))


@pytest.fixture
def work(services: Services) -> Callable[..., None]:
    """A worker that takes one job."""

    def loop(pictures: int) -> None:
        for _ in range(1000):
            jobs, _ = services.store.list_jobs(Status.queued, 1, None)
            if jobs:
                succeed(services, jobs[0].id, pictures)
                return
            time.sleep(0.01)

    def start(pictures: int = 1) -> None:
        threading.Thread(target=loop, args=(pictures,), daemon=True).start()

    return start
