"""Clients that go away before their pictures are there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.deps import Services
from app.main import create_app
from jobs.job import Status
from tests.app.openai.conftest import Painter


async def leave(services: Services, *headers: tuple[bytes, bytes]) -> Status:
    """Send a generation and close the connection as soon as there is a job; its status then."""
    body = json.dumps({"prompt": "a bird"}).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/images/generations",
        "raw_path": b"/v1/images/generations",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        if message := next(sent, None):
            return message
        while not services.store.depth():
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None: ...

    async with services.running():
        await create_app(services.settings, services)(scope, receive, send)
        jobs, _ = services.store.listing(None, 2, None)
        await asyncio.sleep(0.3)  # for what the service does once it is gone
        job = services.store.get(jobs[0].id)
    assert job
    return job.status


@pytest.fixture
def idle(services: Services, painter: Painter) -> Services:
    painter.idle = True
    return services


def test_work_that_nobody_will_see_is_spared(idle: Services) -> None:
    assert asyncio.run(leave(idle)) is Status.canceled


def test_who_can_come_back_finds_it_done(idle: Services) -> None:
    assert asyncio.run(leave(idle, (b"idempotency-key", b"one"))) is Status.queued
