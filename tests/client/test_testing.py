"""``mmml serve --fake``: the real service, without networks and without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import ImageChops

from app.gateway.api_keys import generate_key
from app.local.broker import LocalServiceError
from app.local.serve import fake_environment
from jobs.job import ErrorCode
from mmml import Busy, Client, JobFailed, Refused
from mmml.testing import NotStarted, fake_service
from tests.app.conftest import mask_png, png

pytestmark = pytest.mark.real
_HEAVY = ("torch", "torchvision", "numpy", "cv2", "safetensors", "models.pipeline")
_BLOCK = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {_HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """All of its processes live where what is heavy can't be imported."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(_BLOCK)
    path = os.pathsep.join([str(folder), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    with fake_service(PYTHONPATH=path) as url:
        yield url


@pytest.fixture
def mmml(service: str) -> Iterator[Client]:
    with Client(service, timeout=60) as client:
        yield client


def test_the_same_text_and_seed_give_the_same_bytes(mmml: Client) -> None:
    one, other = (mmml.synthesize("a red bird", seed=7, count=2).wait() for _ in range(2))
    assert one.pictures == other.pictures
    assert one.pictures[0] != one.pictures[1]
    assert one.warnings == []
    assert mmml.synthesize("a red bird", seed=8).wait().pictures == one.pictures[1:]


def test_the_three_tasks(mmml: Client) -> None:
    photo = png(80, 60)
    assert mmml.manipulate(photo, "a red bird").wait().images[0].size == (80, 60)
    filled = mmml.inpaint(photo, mask_png(80, 60), "a red bird").wait().images[0]
    before = ImageChops.constant(filled.convert("L"), 0).convert("RGB")
    before.paste((200, 30, 40), (0, 0, 80, 60))
    assert ImageChops.difference(filled, before).getbbox() == (5, 5, 15, 15)


@pytest.mark.parametrize("code", [ErrorCode.model_error, ErrorCode.out_of_memory, ErrorCode.lost])
def test_failures_on_request(mmml: Client, code: ErrorCode) -> None:
    with pytest.raises(JobFailed, match="asks for this failure") as caught:
        mmml.synthesize(f"a bird fail:{code}").wait()
    assert caught.value.code == code


def test_half_of_the_pictures_on_request(mmml: Client) -> None:
    job = mmml.synthesize("a bird fail:partial", count=3).wait()
    assert [image["error"] is None for image in job.record["images"]] == [True, False, True]
    assert len(job.images) == 2
    assert job.warnings == ["Image 2 of 3 failed: The text asks for this failure: model_error."]


def test_slowness_on_request_can_be_canceled(mmml: Client) -> None:
    started = time.monotonic()
    job = mmml.synthesize("a bird fail:slow=15")
    for event in job.events():
        if event.data.get("status") == "running":
            job.cancel()
            break
    with pytest.raises(JobFailed, match="canceled"):
        job.wait()
    assert time.monotonic() - started < 14


def test_refusals_are_the_usual_ones(mmml: Client) -> None:
    with pytest.raises(Refused, match="knows no word") as caught:
        mmml.synthesize("qwertz")
    assert caught.value.code == "no_known_words"
    assert mmml.synthesize("a zorgly bird").warnings == ["Unknown words were left out: zorgly."]


def test_a_service_of_ones_own_settings() -> None:
    """And of a start that is cheap: all processes together, from start to end."""
    before, key = _seconds_of_children(), generate_key()
    with (
        fake_service(MMML_FIRST_KEY=key, MMML_RATE_SUBMIT="2/hour") as url,
        Client(url, api_key=key) as client,
    ):
        client.synthesize("a bird").wait()
        client.synthesize("a bird")
        with pytest.raises(Busy, match="Try again in") as caught:
            client.synthesize("a bird")
        assert caught.value.status == 429
        assert (caught.value.retry_after or 0) > 60
        with Client(url) as stranger, pytest.raises(Refused, match="key"):
            stranger.jobs()
    assert _seconds_of_children() - before < 6
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def _seconds_of_children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def test_a_service_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(NotStarted, match="MMML_MAX_QUEUE"),
        fake_service(MMML_MAX_QUEUE="none"),
    ):
        pass


def test_fakes_take_no_real_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMML_REDIS_URL", "redis://127.0.0.1:1/0")
    with (
        pytest.raises(LocalServiceError, match="must not take real jobs"),
        fake_environment(tmp_path),
    ):
        pass
