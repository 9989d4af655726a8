"""The images of a job, as they are stored: formats, frames, sizes, explanations."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.captions import Word
from jobs.explanation import ExplanationView
from jobs.job import ErrorCode, Status
from models.explanation import ExplainedWord, Explanation
from models.pipeline import Item, OutputWithAttention
from tests.moves import queued
from tests.squares import FakeLoader, FakePipeline
from tests.workers.conftest import Shop, failure


def test_the_pipeline_is_asked_for_the_size_and_says_how_it_was_made(shop: Shop) -> None:
    shop.runner.pipelines = FakeLoader(Sized())
    job = shop.run("a red bird", size=128)
    assert (job.images[0].width, job.images[0].height) == (128, 128)
    assert job.receipt["detail"] == {"sha256": "d" * 64}


class Sized(FakePipeline):
    """Enlarges what it paints to the size that an item asks for."""

    def finish(self, prepared: Item, pixels: Any) -> Image.Image:
        side = prepared.size or 8
        return super().finish(prepared, pixels).resize((side, side))

    def provenance(self, prepared: Item) -> dict[str, Any]:
        return {"detail": {"sha256": "d" * 64}} if prepared.size else {}


def test_one_failing_picture_is_reported_alone(shop: Shop) -> None:
    def fail_second(batch: object) -> None:
        if any(item.index == 1 for item in batch):  # type: ignore[attr-defined]
            raise ValueError("no")

    shop.pipeline.on_forward = fail_second
    job = shop.run(count=3)
    assert job.status is Status.succeeded
    assert [bool(i.error) for i in job.images] == [False, True, False]
    assert "Image 2 of 3 failed" in job.warnings[1]


def test_the_bytes_of_its_pictures_are_counted(shop: Shop) -> None:
    owned = queued(
        shop.store,
        owner="me",
        max_stored=2**30,
        request={"text": "a bird", "seed": 5, "bundle": "fake", "method": "fake", "count": 3},
    )
    shop.do(owned.id)
    sizes = [len(shop.runner.blobs.get(image.blob)) for image in shop.job(owned.id).images]
    assert shop.store.usage("me").stored == sum(sizes) > 0


@pytest.mark.parametrize(("kind", "extension"), [("jpeg", ".jpg"), ("webp", ".webp")])
def test_other_formats(shop: Shop, kind: str, extension: str) -> None:
    (image,) = shop.run(format=kind).images
    assert (image.format, image.blob[-len(extension) :]) == (kind, extension)
    with Image.open(io.BytesIO(shop.runner.blobs.get(image.blob))) as stored:
        assert stored.format == kind.upper()


def test_frames_become_one_picture_of_one_seed(shop: Shop) -> None:
    images = shop.run(["a bird", "a long bird"], frames=5, count=2, format="gif").images
    found = [(i.seed, i.frames, i.format, i.width) for i in images]
    assert found == [(5, 5, "gif", 8), (6, 5, "gif", 8)]
    assert sum(shop.pipeline.batches) == 10  # the batcher counts frames
    with Image.open(io.BytesIO(shop.runner.blobs.get(images[0].blob))) as moving:
        assert moving.n_frames == 5


def test_a_strip_ends_with_the_captions_themselves(shop: Shop) -> None:
    def picture(**request: object) -> np.ndarray:
        (image,) = shop.run(**request).images  # type: ignore[arg-type]
        assert image.frames == 1
        return np.asarray(Image.open(io.BytesIO(shop.runner.blobs.get(image.blob))))

    strip = picture(text=["a bird", "a long bird"], frames=3, format="png")
    assert strip.shape == (8, 24, 3)
    assert np.array_equal(strip[:, :8], picture(text="a bird"))
    assert np.array_equal(strip[:, 16:], picture(text="a long bird"))


def test_a_frame_that_fails_fails_its_picture(shop: Shop) -> None:
    job = shop.run(["a bird", "crash"], frames=3, format="webp")
    assert failure(job)[:2] == (Status.failed, ErrorCode.model_error)


def test_explanations_lie_beside_their_pictures(shop: Shop) -> None:
    shop.runner.pipelines = FakeLoader(ExplainingPipeline())
    images = shop.run("a red bird", count=2, explain=True).images
    assert len(images) == 2
    for image in images:
        result = ExplanationView.model_validate_json(shop.runner.blobs.get(image.explanation))
        assert (result.image, result.method) == (image.index, "fake")
        assert [(w.word, w.start, w.end, w.peak) for w in result.words] == [("red", 2, 5, 0.5)]
        data = base64.b64decode(result.words[0].maps["attention"].partition("base64,")[2])
        with Image.open(io.BytesIO(data)) as plane:
            assert (plane.format, plane.mode) == ("PNG", "L")
            assert np.asarray(plane).tolist() == [[0, 128], [255, 64]]
    assert shop.run("a red bird").images[0].explanation == ""


class ExplainingPipeline(FakePipeline):
    """Explains what it paints, when it is asked to."""

    def _paint(self, item: Item) -> Any:
        pixels = super()._paint(item)
        return OutputWithAttention(pixels, item.text) if item.explain else pixels

    def explain(self, prepared: Item, maps: Any) -> Explanation:
        plane = np.array([[0, 0.25], [0.5, 0.125]], np.float32)
        start = maps.index("red")
        word = Word("red", start, start + 3, 1, 0)
        return Explanation(self.method, (ExplainedWord(0, word, 0.5, {"attention": plane}),))
