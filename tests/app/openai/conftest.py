"""The public client on a gateway in this process, with a worker that paints every picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI
from PIL import Image

from app.deps import Services
from app.queue import MemoryQueue, Queue
from jobs.job import ErrorCode, Failure
from jobs.store import Outcome
from tests.app.conftest import succeed


class Painter(MemoryQueue):
    """Delivers a job by finishing it at once."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services
        self.failing = self.idle = False

    def publish(self, *job_ids: str) -> None:
        super().publish(*job_ids)
        for job_id in job_ids:
            self._paint(job_id)

    def _paint(self, job_id: str) -> None:
        job = self._services.store.get(job_id)
        assert job
        if self.failing:
            self._services.store.start(job_id, "t", 10)
            failure = Failure(code=ErrorCode.out_of_memory, detail="It does not fit.")
            self._services.store.finish(job_id, "t", Outcome(error=failure))
        elif not self.idle:
            succeed(self._services, job_id, pictures=job.request["count"])


@pytest.fixture
def painter(services: Services) -> Queue:
    services.queue = Painter(services)
    return services.queue


@pytest.fixture
def openai(client: TestClient, painter: Painter) -> OpenAI:
    return OpenAI(
        base_url="http://testserver/v1", api_key="anything", http_client=client, max_retries=0
    )


def hole_png(width: int = 40, height: int = 30, alpha: int = 0) -> bytes:
    """A mask as this API has it: transparent where the picture is to be filled."""
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[5:15, 5:15, 3] = alpha
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
