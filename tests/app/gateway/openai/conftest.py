"""The public client on a gateway in this process, with a worker that paints every picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI
from PIL import Image

from app.gateway.services import Services
from jobs.job import ErrorCode, Failure, Job, Status
from jobs.store import JobOutcome
from tests.app.conftest import succeed
from tests.moves import finished


class Painter:
    """Wakes nobody, but finishes what waits at once. ``sent``: the jobs that it saw."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.failing = self.idle = False
        self.sent: list[str] = []

    def send(self, count: int) -> None:
        store = self._services.store
        waiting, _ = store.list_jobs(Status.queued, 100, None)
        for job in waiting:
            if job.id not in self.sent:
                self.sent.append(job.id)
                self._paint(job)

    def _paint(self, job: Job) -> None:
        if self.failing:
            failure = Failure(code=ErrorCode.out_of_memory, detail="It does not fit.")
            finished(self._services.store, job.id, JobOutcome(error=failure))
        elif not self.idle:
            succeed(self._services, job.id, pictures=job.request["count"])


@pytest.fixture
def painter(services: Services) -> Painter:
    services.wakeups = made = Painter(services)
    return made


@pytest.fixture
def openai(client: TestClient, painter: Painter) -> OpenAI:
    return OpenAI(
        base_url="http://127.0.0.1:8000/v1", api_key="anything", http_client=client, max_retries=0
    )


def hole_png(width: int = 40, height: int = 30, alpha: int = 0) -> bytes:
    """A mask as this API has it: transparent where the picture is to be filled."""
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[5:15, 5:15, 3] = alpha
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
