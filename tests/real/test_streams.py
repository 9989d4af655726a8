"""A thousand open event streams on one gateway: no thread or connection for each."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jobs.connections import connect
from jobs.redis_store import JobStore
from tests.moves import finished, queued
from tests.ports import free_port

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
STREAMS = 1000
SERVE = """
import sys, uvicorn
from app.gateway.server import create_app
from app.settings import GatewaySettings
uvicorn.run(create_app(GatewaySettings()), port=int(sys.argv[1]), log_level="warning")
"""


class Gateway:
    """A gateway process without workers."""

    def __init__(self, redis_url: str, weights: Path) -> None:
        self.port = free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        env |= {
            "MMML_REDIS_URL": redis_url,
            "MMML_WEIGHTS_DIR": str(weights),
            "MMML_MAX_STREAMS": "2000",
        }
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, str(self.port)], env=env)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.http.get("/healthz")
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return

    def usage(self) -> dict[str, int]:
        """Threads, and resident memory in kB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) for name in ("Threads", "VmRSS")}

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def redis_url(valkey: str) -> str:
    return valkey.replace("db=0", "db=7")


@pytest.fixture
def gateway(redis_url: str, weights: Path) -> Iterator[Gateway]:
    made = Gateway(redis_url, weights)
    yield made
    made.stop()


@pytest.fixture
def store(redis_url: str) -> Iterator[JobStore]:
    client = connect(redis_url)
    yield JobStore(client)
    client.close()


def create(store: JobStore) -> str:
    return queued(store).id


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_stream(port: int, job: str) -> Stream:
    """Reads up to the first event. RefusedError when there is no room."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET /jobs/{job}/events HTTP/1.1", "Host: localhost", "", ""]
    writer.write("\r\n".join(lines).encode())
    status = await reader.readline()
    if b" 200 " not in status:
        writer.transport.abort()
        raise RefusedError(status)
    await reader.readuntil(b'{"status": "queued"}')
    return reader, writer


class RefusedError(Exception):
    """The gateway did not open the stream."""


async def open_when_there_is_room(port: int, job: str) -> Stream:
    async with asyncio.timeout(90):
        while True:
            try:
                return await open_stream(port, job)
            except RefusedError:
                await asyncio.sleep(0.5)


async def to_the_end(reader: asyncio.StreamReader) -> bool:
    text = await reader.readuntil(b"\r\n0\r\n\r\n")
    return b"event: final" in text and b'"status":"succeeded"' in text.replace(b": ", b":")


def finish(store: JobStore, job: str) -> None:
    finished(store, job)


def test_a_thousand_streams(gateway: Gateway, store: JobStore, redis_url: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    own, shared = [create(store) for _ in range(STREAMS // 2)], create(store)
    followed = [*own, *[shared] * (STREAMS - len(own))]
    before = gateway.usage()

    async def follow() -> None:
        streams = await asyncio.gather(*(open_stream(gateway.port, job) for job in followed))
        during = gateway.usage()
        assert during["Threads"] <= before["Threads"] + 140  # the pool for blocking calls, no more
        assert (during["VmRSS"] - before["VmRSS"]) / STREAMS < 150  # kB
        client = connect(redis_url)
        assert len(client.client_list()) < 160
        client.close()
        started = time.monotonic()
        assert (await asyncio.to_thread(gateway.http.get, "/healthz")).status_code == 200
        assert time.monotonic() - started < 10
        for job in [*own, shared]:
            await asyncio.to_thread(finish, store, job)
        async with asyncio.timeout(60):
            ends = await asyncio.gather(*(to_the_end(reader) for reader, _ in streams))
        assert all(ends)
        for _, writer in streams:
            writer.close()

    asyncio.run(follow())
    assert gateway.http.get("/jobs").status_code == 200


def test_streams_left_by_their_clients_are_let_go(
    redis_url: str, weights: Path, store: JobStore
) -> None:
    job = create(store)

    async def open_and_leave(port: int) -> None:
        opening = (open_when_there_is_room(port, job) for _ in range(900))
        for _, writer in await asyncio.gather(*opening):
            writer.transport.abort()

    made = Gateway(redis_url, weights)
    try:
        for _ in range(4):  # 3,600 together, and 2,000 may be open
            asyncio.run(open_and_leave(made.port))
    finally:
        made.stop()
