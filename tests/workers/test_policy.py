"""What an operator's policy refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from jobs.job import ErrorCode, Status
from jobs.requests import Synthesize
from tests.docs.blocks import ROOT, blocks
from tests.workers.conftest import Shop, failure
from workers.policy import PolicyHook, load_policy
from workers.settings import WorkerSettings
from workers.worker import Worker

PAGE = ROOT / "docs" / "deploying.md"
UNCHECKED = "It could not be checked whether this is allowed. Try again later."


def fails(*_: object) -> str:
    raise KeyError("secret word")


def test_a_refused_request_never_reaches_the_networks(shop: Shop) -> None:
    asked: list[Any] = []

    def before(request: Mapping[str, Any], images: Mapping[str, Image.Image]) -> str:
        asked.append((dict(request), dict(images)))
        return "Not here."

    shop.runner.policy = PolicyHook(SimpleNamespace(before=before))
    job = shop.run(owner="alice", webhook="https://a.example/secret")
    assert failure(job) == (Status.failed, ErrorCode.bad_input, "Not here.")
    assert (shop.pipeline.batches, job.images, job.attempts) == ([], (), 1)
    ((request, images),) = asked
    given = {"task": "synthesize", "texts": ("a bird",), "text": "a bird", "bundle": "fake"}
    assert {**request, **given, "method": "fake"} == request
    assert not {"owner", "webhook"} & set(request)
    assert images == {}


def test_inputs_are_shown_decoded(shop: Shop, photo: bytes) -> None:
    def before(request: Mapping[str, Any], images: Mapping[str, Image.Image]) -> str | None:
        return f"{request['task']} {images['image'].mode} {images['image'].size}"

    shop.runner.policy = PolicyHook(SimpleNamespace(before=before))
    shop.runner.blobs.put("in/photo", photo)
    job = shop.run(task="manipulate", inputs={"image": "in/photo"})
    assert failure(job)[2] == "manipulate RGB (20, 16)"


@pytest.fixture
def photo(tmp_path: Path) -> bytes:
    path = tmp_path / "photo.png"
    Image.new("RGB", (20, 16), (9, 80, 7)).save(path)
    return path.read_bytes()


def test_one_of_four_images_is_refused(shop: Shop) -> None:
    seen: list[Image.Image] = []

    def after(request: Mapping[str, Any], image: Image.Image) -> str | None:
        seen.append(image)
        return "Not this one." if len(seen) == 3 else None

    shop.runner.policy = PolicyHook(SimpleNamespace(after=after))
    job = shop.run(count=4)
    assert job.status is Status.succeeded
    assert [image.error and image.error.detail for image in job.images] == [
        *(None, None),
        *("Not this one.", None),
    ]
    assert (job.images[2].blob, bool(job.images[3].blob)) == ("", True)
    assert "Image 3 of 4 failed: Not this one." in job.warnings
    assert {(image.mode, image.size) for image in seen} == {("RGB", (8, 8))}


def test_a_job_without_an_allowed_image_fails(shop: Shop) -> None:
    shop.runner.policy = PolicyHook(SimpleNamespace(after=lambda *_: "None of them."))
    assert failure(shop.run(count=2)) == (Status.failed, ErrorCode.bad_input, "None of them.")


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("method", [fails, lambda *_: True, lambda *_: " "])
def test_a_policy_that_fails_refuses(
    shop: Shop, caplog: pytest.LogCaptureFixture, name: str, method: Callable[..., Any]
) -> None:
    shop.runner.policy = PolicyHook(SimpleNamespace(**{name: method}))
    assert failure(shop.run()) == (Status.failed, ErrorCode.internal, UNCHECKED)
    assert "Traceback" in caplog.text
    assert "test_policy.py" in caplog.text or method is not fails
    shop.runner.policy = PolicyHook()
    assert shop.run().status is Status.succeeded


def test_without_a_policy_everything_is_allowed(shop: Shop) -> None:
    assert WorkerSettings().policy == ""
    shop.runner.policy = load_policy("")
    assert shop.run().status is Status.succeeded


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.at_all:policy", "No module named 'nowhere'"),
        ("string:nothing", "has no attribute 'nothing'"),
        ("string:digits", "neither a method before nor a method after"),
        ("tests.workers.test_policy:Instances", "missing a required argument"),
        ("not a name", "invalid format"),
    ],
)
def test_a_wrong_name_ends_the_worker_at_its_start(name: str, reason: str) -> None:
    with pytest.raises(SystemExit, match=f"mmml: MMML_POLICY={name} can't be used: .*{reason}"):
        Worker(WorkerSettings(device="cpu", policy=name))


class Instances:
    """Named in the place of an object of it."""

    def before(self, request: object, images: object) -> None: ...


def test_the_examples_of_the_page_refuse(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    words, images = (b.text for b in blocks(PAGE) if b.language == "python")
    for name, text in (("words_example", words), ("images_example", images)):
        (tmp_path / f"{name}.py").write_text(text)
    try:
        shop.runner.policy = load_policy("words_example:policy")
        assert shop.run("a bird with a Gun").error
        assert shop.run("a gunboat").status is Status.succeeded
        shop.runner.policy = load_policy("images_example:policy")
        assert shop.run().error  # squares of one colour
        request = Synthesize(text="a bird")
        shop.runner.policy.check_image(request, Image.radial_gradient("L").convert("RGB"))
    finally:
        for name in ("words_example", "images_example"):
            sys.modules.pop(name, None)
