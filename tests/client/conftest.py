"""Clients on a gateway of this process, and a worker that takes one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from anyio import to_thread
from fastapi.testclient import TestClient

from mmml import AsyncClient, Client
from tests.app import conftest as gateway

settings, services = gateway.settings, gateway.services
client, work, later = gateway.client, gateway.work, gateway.later


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
