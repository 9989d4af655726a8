"""Clients that go away before their pictures are there."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from app.gateway.server import create_app
from app.gateway.services import Services
from jobs.job import Status
from tests.app.gateway.openai.conftest import Painter


def scope(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """A POST of JSON, as a server passes it to the application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


async def nobody(_message: object) -> None:
    """Hears the answer."""


async def leave(services: Services, *headers: tuple[bytes, bytes]) -> Status:
    """Send a generation and close the connection as soon as there is a job; its status then."""
    body = json.dumps({"prompt": "a bird"}).encode()
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        if message := next(sent, None):
            return message
        while not services.store.load().waiting:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    app = create_app(services.settings, services)
    async with services.lifespan():
        await app(scope("/v1/images/generations", *headers), receive, nobody)
        await asyncio.sleep(0.3)  # for what the service does once it is gone
        jobs, _ = services.store.list_jobs(None, 2, None)
    return jobs[0].status


@pytest.fixture
def idle(services: Services, painter: Painter) -> Services:
    painter.idle = True
    return services


def test_work_that_nobody_will_see_is_spared(idle: Services) -> None:
    assert asyncio.run(leave(idle)) is Status.canceled


def test_who_can_come_back_finds_it_done(idle: Services) -> None:
    assert asyncio.run(leave(idle, (b"idempotency-key", b"one"))) is Status.queued


@pytest.mark.parametrize("path", ["/v1/images/generations", "/synthesize"])
def test_half_a_request_is_no_fault_of_the_service(
    idle: Services, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    sent = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> dict[str, Any]:
        return next(sent, {"type": "http.disconnect"})

    with caplog.at_level(logging.ERROR):
        asyncio.run(create_app(idle.settings, idle)(scope(path), receive, nobody))
    assert not caplog.records
    assert not idle.store.load().waiting
