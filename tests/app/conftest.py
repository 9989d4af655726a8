"""A gateway on a real job store."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.images import decode_photo, encode
from jobs.job import ErrorCode, Failure, ImageRecord, Status, Timings
from jobs.store import JobOutcome
from tests.conftest import write_paper_bundle
from tests.moves import begun
from tests.services import LocalClient


@pytest.fixture
def fine(weights: Path) -> str:
    """A further bundle, with a detail stage; to be asked for before the services."""
    write_paper_bundle(weights / "fine", scale=4)
    return "fine"


@pytest.fixture
def settings(weights: Path, valkey: str, prefix: str) -> GatewaySettings:
    return GatewaySettings(weights_dir=weights, redis_url=valkey, redis_prefix=prefix)


@pytest.fixture
def services(settings: GatewaySettings) -> Services:
    return Services(settings)


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with LocalClient(
        create_app(services.settings, services), raise_server_exceptions=False
    ) as made:
        yield made


# Asks for the gateway, though it does not use it: a fixture that needs nothing of it ends after it,
# and a worker that still looks for jobs then finds the connections closed.
@pytest.fixture
def work(services: Services, client: TestClient) -> Iterator[Callable[..., None]]:
    """``work(pictures=1)`` starts a worker that takes one job, a moment after it is queued."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def loop(pictures: int) -> None:
        while not over.wait(0.01):
            jobs, _ = services.store.list_jobs(Status.queued, 1, None)
            if jobs:
                over.wait(0.1)
                succeed(services, jobs[0].id, pictures)
                return

    def start(pictures: int = 1) -> None:
        threads.append(threading.Thread(target=loop, args=(pictures,)))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def later(client: TestClient) -> Iterator[Callable[..., threading.Timer]]:
    """``later(seconds, function, *arguments)`` calls it meanwhile. The gateway's connections are
    closed after that.
    """
    timers: list[threading.Timer] = []

    def start(seconds: float, function: Callable[..., object], *args: object) -> threading.Timer:
        timers.append(threading.Timer(seconds, function, args))
        timers[-1].start()
        return timers[-1]

    yield start
    for timer in timers:
        timer.join()


def png(
    width: int = 40, height: int = 30, mode: str = "RGB", colour: object = (200, 30, 40)
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), colour).save(buffer, "PNG")  # type: ignore[arg-type]
    return buffer.getvalue()


def mask_png(width: int = 40, height: int = 30) -> bytes:
    pixels = np.zeros((height, width), np.uint8)
    pixels[5:15, 5:15] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def succeed(
    services: Services,
    job_id: str,
    pictures: int = 1,
    failed: bool = False,
    files: Sequence[tuple[str, bytes, int]] = (),
) -> None:
    """Do what a worker does; ``failed``: the last image failed; ``files``: what it has drawn, by
    format, bytes and number of frames.
    """
    started = services.store.get(job_id)
    assert started
    token = begun(services.store, job_id)
    images = []
    drawn = (Image.new("RGB", (20, 20), (n, 100, 200)) for n in range(pictures))
    for n, (kind, data, frames) in enumerate(files or [("png", encode(i), 1) for i in drawn]):
        key = f"jobs/{job_id}/out/t-{n}.{kind}"
        services.blobs.put(key, data)
        size = {"width": 20, "height": 20, "sha256": f"{n:064d}", "frames": frames}
        images.append(ImageRecord(index=n, seed=n, blob=key, format=kind, **size))
    if failed:
        error = Failure(code=ErrorCode.model_error, detail="It went wrong.")
        images[-1] = ImageRecord(index=pictures - 1, seed=pictures - 1, error=error)
    outcome = JobOutcome(images, Timings(model_ms=1.0), warnings=started.warnings)
    assert services.store.finish_all([(job_id, token, outcome)]) == [True]


def stored_photo(services: Services, job_id: str, name: str = "image") -> Image.Image:
    job = services.store.get(job_id)
    assert job is not None
    return decode_photo(services.blobs.get(job.inputs[name]))
