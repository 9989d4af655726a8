"""A new task is a request class, a pipeline, a line in each registry and weights; app/ and
workers/ stay as they are.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from docs.tools.openapi import task_descriptions
from jobs.images import decode_photo
from jobs.requests import TASKS, register_task
from mmml.cli.tasks import task_command
from mmml.tasks import read_tasks
from models.registry import PIPELINES
from tests.conftest import write_paper_bundle
from tests.moves import claimed
from tests.services import LocalClient, connected
from tests.toy import Mirror
from workers.batcher import Batcher
from workers.job_runner import JobRunner
from workers.leases import Leases
from workers.loader import preload
from workers.pipeline_cache import CachedPipelineLoader
from workers.settings import WorkerSettings


@pytest.fixture
def fourth_task() -> Iterator[None]:
    register_task(Mirror)
    PIPELINES["mirror"] = {"fake": "tests.toy:load"}
    yield
    del TASKS["mirror"], PIPELINES["mirror"]


@pytest.fixture
def services(tmp_path: Path, fourth_task: None, valkey: str) -> Services:
    write_paper_bundle(tmp_path / "toys", ("mirror",))
    raw = json.loads((tmp_path / "toys/bundle.json").read_text())
    raw["tasks"]["mirror"] |= {"network": {}, "text_encoder": {}, "files": {}}
    (tmp_path / "toys/bundle.json").write_text(json.dumps(raw))
    return connected(GatewaySettings(weights_dir=tmp_path), valkey)


@pytest.fixture
def runner(services: Services) -> Iterator[JobRunner]:
    folder = services.settings.weights_dir
    settings = WorkerSettings(
        weights_dir=folder, cache_dir=folder, precision="float32", max_batch=4
    )
    pipelines = CachedPipelineLoader(settings, "cpu")
    batcher, leases = Batcher(4, 0.0, lambda _: None), Leases(services.store, 15)
    batcher.start()
    preload(pipelines, settings)
    yield JobRunner(services.store, services.blobs, pipelines, batcher, leases)
    batcher.stop()


def test_from_request_to_picture(services: Services, runner: JobRunner) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    with LocalClient(create_app(services.settings, services)) as client:
        assert "/mirror" in client.get("/openapi.json").json()["paths"]
        assert client.get("/models").json()["defaults"]["mirror"] == "toys"
        response = client.post(
            "/mirror", data={"text": "a bird"}, files={"image": buffer.getvalue()}
        )
        assert response.status_code == 202, response.text
        (held,) = claimed(services.store)
        runner.run([(held.job, runner.leases.add(held.job.id, held.token))])
        picture = client.get(f"/jobs/{response.json()['id']}/images/0")
    mirrored = np.asarray(decode_photo(picture.content))
    assert np.array_equal(mirrored, photo[:, ::-1])


def test_the_command_line_offers_it(fourth_task: None) -> None:
    described = read_tasks(task_descriptions(TASKS))["mirror"]
    shown = CliRunner().invoke(task_command(described), ["--help"])
    assert shown.exit_code == 0
    assert "Mirror a photo" in shown.output
    assert "IMAGE" in shown.output
