"""The studio in a real browser, before a service whose parts are all in this process."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
)

from app.gateway.server import gateway_server
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.blobs import input_key
from jobs.images import decode_photo
from jobs.job import new_id
from jobs.store import ClaimRequest
from tests.picture_files import photo, saved
from tests.ports import free_port
from tests.services import connected
from tests.studio.chromium import TIMEOUT, chromium
from tests.studio.painter import PainterLoader
from workers.batcher import Batcher
from workers.job_runner import JobRunner
from workers.leases import Leases


class Stand:
    """A gateway on a port of its own, and a worker that can be paused."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.working, self._stopping = threading.Event(), threading.Event()
        self.working.set()
        self._batcher = Batcher(16, 0.0, lambda _: None)
        self._leases = Leases(services.store, 15)
        self.loader = PainterLoader()
        self._runner = JobRunner(
            services.store, services.blobs, self.loader, self._batcher, self._leases
        )
        self._server = gateway_server(services.settings, "127.0.0.1", self.port, 1, services)
        self._threads = [
            threading.Thread(target=self._server.run, daemon=True),
            threading.Thread(target=self._work, daemon=True),
        ]

    def __enter__(self) -> Stand:
        self._batcher.start()
        self._leases.start()
        for thread in self._threads:
            thread.start()
        _until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.working.set()
        self._server.should_exit = True
        for thread in self._threads:
            thread.join(20)
        self._batcher.stop()
        self._leases.stop()

    def _answers(self) -> bool:
        return self._server.started

    def _work(self) -> None:
        store, one = self.services.store, ClaimRequest(jobs=1, pictures=1)
        while not self._stopping.is_set():
            found = store.claim(new_id(), one, 15).jobs if self.working.wait(0.1) else ()
            for held in found:
                self._runner.run([(held.job, self._leases.add(held.job.id, held.token))])
            if not found:
                time.sleep(0.02)

    def sent(self, job_id: str, field: str) -> Image.Image:
        """What was stored of a picture that was sent."""
        return Image.open(io.BytesIO(self.services.blobs.get(input_key(job_id, field))))

    def made(self, job_id: str, index: int = 0) -> Image.Image:
        """A picture of a job, once it has ended: the page may still show what was made before."""
        ends_at = time.monotonic() + 30
        while not (job := self.services.store.get(job_id)) or not job.status.final:
            assert time.monotonic() < ends_at, "the job does not end"
            time.sleep(0.05)
        return decode_photo(self.services.blobs.get(job.images[index].blob))


def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


@pytest.fixture
def stand(weights: Path, valkey: str) -> Iterator[Stand]:
    with Stand(connected(GatewaySettings(weights_dir=weights), valkey)) as made:
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


class Watch:
    """What a page asked for and complained of."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []

    def follow(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.requests.append(request))
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _console(self, message: ConsoleMessage) -> None:
        # An answer other than success is for the page to tell, and the test to expect.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def context(browser: Browser, watch: Watch, stand: Stand) -> Iterator[BrowserContext]:
    """A fresh window. Every test also checks that nothing is asked of any other host, and that the
    page runs without an error.
    """
    made = browser.new_context(
        base_url=stand.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    made.set_default_timeout(TIMEOUT)
    watch.follow(made)
    yield made
    made.close()
    ours = (stand.url, "data:", "blob:")
    assert [r.url for r in watch.requests if not r.url.startswith(ours)] == []
    assert watch.complaints == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """The studio, ready."""
    made = context.new_page()
    made.goto("/")
    made.locator("#tasks input").first.wait_for(state="attached")
    return made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo's file, 120×80."""
    path = tmp_path / "photo.png"
    path.write_bytes(saved(photo(120, 80)))
    return path
