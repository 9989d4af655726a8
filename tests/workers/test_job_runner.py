"""A job from claim to outcome."""

from __future__ import annotations

import base64
import io
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.blobs import job_folder, output_key
from jobs.captions import Word
from jobs.errors import BlobError, BlobMissing
from jobs.explanation import ExplanationView
from jobs.job import STREAM_START, ErrorCode, Job, Status
from jobs.store import Renewal
from models.errors import UnknownBundle
from models.explanation import ExplainedWord, Explanation
from models.pipeline import Item, OutputWithAttention
from tests.moves import queued, renew
from tests.squares import FakeLoader, FakePipeline
from tests.workers.conftest import Shop

Eventually = Callable[[Callable[[], bool], float], None]


def test_a_job_succeeds_with_its_receipt(shop: Shop) -> None:
    job_id = shop.submit(count=3)
    shop.do(job_id)
    job = shop.job(job_id)
    assert job.status is Status.succeeded
    assert [i.seed for i in job.images] == [5, 6, 7]
    assert job.receipt["seeds"] == [5, 6, 7]
    assert job.receipt["bundle"] == "fake"
    assert job.receipt["precision"] == "float32"
    assert job.warnings == ("first",)
    assert job.timings.model_ms is not None
    pictures = {shop.runner.blobs.get(i.blob) for i in job.images}
    assert len(pictures) == 3


def test_the_pipeline_is_asked_for_the_size_and_says_how_it_was_made(shop: Shop) -> None:
    made = Sized()
    assert isinstance(shop.runner.pipelines, FakeLoader)
    shop.runner.pipelines.pipeline = made
    job_id = shop.submit("a red bird", size=128)
    shop.do(job_id)
    job = shop.job(job_id)
    assert (job.images[0].width, job.images[0].height) == (128, 128)
    assert job.receipt["detail"] == {"sha256": "d" * 64}


class Sized(FakePipeline):
    """Enlarges what it paints to the size that an item asks for."""

    def finish(self, prepared: Item, pixels: Any) -> Image.Image:
        side = prepared.size or 8
        return super().finish(prepared, pixels).resize((side, side))

    def provenance(self, prepared: Item) -> dict[str, Any]:
        return {"detail": {"sha256": "d" * 64}} if prepared.size else {}


def test_model_time_is_the_forward_pass_alone(shop: Shop) -> None:
    shop.pipeline.seconds = 0.1
    job_id = shop.submit(count=2)
    shop.do(job_id)
    timings = shop.job(job_id).timings
    assert timings.model_ms is not None
    assert timings.total_ms is not None
    assert 100 <= timings.model_ms < 100 + 50 + 100  # one batch of two, or two of one
    assert timings.total_ms >= timings.model_ms


def test_a_bad_input_fails_with_its_sentence(shop: Shop) -> None:
    job_id = shop.submit("refuse this")
    shop.do(job_id)
    job = shop.job(job_id)
    assert job.status is Status.failed
    assert job.error is not None
    assert (job.error.code, job.error.detail) == (ErrorCode.bad_input, "This text is refused.")


def test_a_crash_in_the_network_fails_that_job(shop: Shop) -> None:
    job_id = shop.submit("crash")
    shop.do(job_id)
    error = shop.job(job_id).error
    assert error is not None
    assert error.code is ErrorCode.model_error
    shop.do(other := shop.submit())
    assert shop.job(other).status is Status.succeeded


def test_one_failing_picture_is_reported_alone(shop: Shop) -> None:
    def fail_second(batch: object) -> None:
        if any(item.index == 1 for item in batch):  # type: ignore[attr-defined]
            raise ValueError("no")

    shop.pipeline.on_forward = fail_second
    job_id = shop.submit(count=3)
    shop.do(job_id)
    job = shop.job(job_id)
    assert job.status is Status.succeeded
    assert [bool(i.error) for i in job.images] == [False, True, False]
    assert "Image 2 of 3 failed" in job.warnings[1]


def do_when_due(shop: Shop, job_id: str) -> Job:
    time.sleep(0.03)
    shop.do(job_id)
    return shop.job(job_id)


def test_a_bundle_that_nobody_has_fails_the_job_soon(shop: Shop) -> None:
    shop.runner.hand_back_delay = 0.002
    job_id = shop.submit(bundle="missing")
    for times in (1, 2, 3):
        job = do_when_due(shop, job_id)
        assert (job.status, job.hand_backs) == (Status.queued, times)
        assert (job.attempts, job.faults) == (0, 0)
    error = do_when_due(shop, job_id).error
    assert error is not None
    assert error.code is ErrorCode.unknown_bundle


def test_a_bundle_that_another_worker_has_is_left_to_it(shop: Shop) -> None:
    shop.runner.hand_back_delay = 0.00001
    offer = {"missing": {"sha256": "abc", "tasks": ["synthesize"]}}
    shop.store.heartbeat("other", {"bundles": offer}, 10)
    job_id = shop.submit(bundle="missing")
    for _ in range(5):
        job = do_when_due(shop, job_id)
    assert (job.status, job.hand_backs, job.attempts) == (Status.queued, 5, 0)
    shop.runner.pipelines = Renamed(shop.pipeline)  # what the other one has
    assert do_when_due(shop, job_id).status is Status.succeeded


class Renamed(FakeLoader):
    """Has what is missing."""

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Any:
        return self.pipeline


class Replaced(FakeLoader):
    """Has another version than the one that is asked for."""

    def get(self, bundle: str, task: str, method: str, sha256: str = "") -> Any:
        if sha256:
            raise UnknownBundle("has another")
        return super().get(bundle, task, method)


def test_a_version_that_is_gone_gives_way_to_the_present_one(shop: Shop) -> None:
    shop.runner.hand_back_delay = 0.002
    shop.runner.pipelines = Replaced(shop.pipeline)
    values = {"text": "a bird", "seed": 5, "bundle": "fake", "method": "fake"}
    job_id = queued(shop.store, request=values, bundle_sha256="abc").id
    for _ in range(3):
        assert do_when_due(shop, job_id).status is Status.queued
    assert do_when_due(shop, job_id).status is Status.succeeded


def test_the_lease_outlives_slow_networks(shop: Shop) -> None:
    shop.pipeline.seconds = 1.0  # three times the lease
    job_id = shop.submit()
    shop.do(job_id)
    assert shop.job(job_id).status is Status.succeeded
    assert shop.job(job_id).attempts == 1


def test_cancel_while_it_runs(shop: Shop, eventually: Eventually) -> None:
    shop.pipeline.seconds = 2.0
    job_id = shop.submit(count=8)
    thread = threading.Thread(target=shop.do, args=(job_id,))
    thread.start()
    eventually(lambda: shop.job(job_id).status is Status.running, 5)
    shop.store.cancel(job_id)
    thread.join(10)
    assert shop.job(job_id).status is Status.canceled
    assert shop.job(job_id).images == ()


def test_progress_is_told_but_not_the_last_picture(shop: Shop) -> None:
    shop.pipeline.seconds = 0.15  # batches of four
    job_id = shop.submit(count=12)
    shop.do(job_id)
    events = shop.store.events_after({job_id: STREAM_START})[job_id]
    assert events is not None
    result = [(e.done, e.total) for e in events if not e.status]
    assert 2 <= len(result) <= 11
    assert result == sorted(result)
    assert all(0 < (done or 0) < 12 and total == 12 for done, total in result)


def test_a_job_erased_under_the_worker_leaves_no_picture(
    shop: Shop, eventually: Eventually
) -> None:
    """Its lease dies, its client erases it, and then the paused worker goes on."""
    gate = threading.Event()
    shop.pipeline.on_forward = lambda _: gate.wait(10)
    shop.runner.leases.stop()
    job_id = shop.submit()
    thread = threading.Thread(target=shop.do, args=(job_id,))
    thread.start()
    eventually(lambda: shop.job(job_id).status is Status.running, 5)
    time.sleep(0.4)
    assert shop.store.cancel(job_id, erase=True) is Status.canceled
    shop.runner.blobs.delete_prefix(job_folder(job_id))
    shop.store.expire(job_id)
    tokens = [lease.token for lease in shop.runner.leases.held()]
    gate.set()
    thread.join(10)
    assert len(tokens) == 1
    with pytest.raises(BlobMissing):
        shop.runner.blobs.get(output_key(job_id, tokens[0], 0, "png"))


def test_a_job_taken_over_by_another_worker_is_left_alone(
    shop: Shop, eventually: Eventually
) -> None:
    shop.pipeline.seconds = 1.0
    shop.runner.leases.stop()
    job_id = shop.submit()
    thread = threading.Thread(target=shop.do, args=(job_id,))
    thread.start()
    eventually(lambda: shop.job(job_id).status is Status.running, 5)
    time.sleep(0.4)  # nobody renews: the lease dies
    assert shop.store.requeue(job_id, 20)
    assert shop.store.acquire_suspect_lock("other", 10)
    other = shop.store.claim_suspect("c", "other", 10, 10)
    assert other is not None
    thread.join(10)
    assert shop.job(job_id).status is Status.running
    assert renew(shop.store, job_id, other.token) is Renewal.held


class BrokenBlobs:
    """A storage on strike."""

    def __init__(self, error: BlobError | None = None) -> None:
        self.error = error or BlobError("on strike")

    def get(self, key: str) -> bytes:
        raise self.error

    def put(self, key: str, data: bytes) -> None:
        raise self.error

    def delete_prefix(self, prefix: str) -> None:
        raise self.error


def test_a_storage_fault_is_tried_again_before_the_job_fails(shop: Shop) -> None:
    shop.runner.blobs = BrokenBlobs()  # type: ignore[assignment]
    job_id = shop.submit()
    for fault in (1, 2):
        shop.do(job_id)
        job = shop.job(job_id)
        assert (job.status, job.attempts, job.faults) == (Status.queued, 0, fault)
        time.sleep(0.15)
    shop.do(job_id)
    error = shop.job(job_id).error
    assert error is not None
    assert error.code is ErrorCode.storage


def test_a_full_storage_fails_the_job_at_once_and_says_so(shop: Shop) -> None:
    full = BlobError("x: no space left on device", "The service's storage is full.", lasting=True)
    shop.runner.blobs = BrokenBlobs(full)  # type: ignore[assignment]
    job_id = shop.submit()
    shop.do(job_id)
    job = shop.job(job_id)
    assert (job.status, job.attempts) == (Status.failed, 1)
    assert job.error is not None
    assert (job.error.code, job.error.detail) == (
        ErrorCode.storage,
        "The service's storage is full. Try again later.",
    )


def test_a_lost_input_fails_at_once(shop: Shop) -> None:
    job_id = shop.submit(task="manipulate", inputs={"image": "jobs/x/in-image.png"})
    shop.do(job_id)
    error = shop.job(job_id).error
    assert error is not None
    assert error.code is ErrorCode.storage


def test_a_job_whose_uploads_were_erased_says_so(shop: Shop) -> None:
    """Such as one that an operator puts back in line after it was over."""
    job_id = shop.submit(task="manipulate")
    shop.do(job_id)
    error = shop.job(job_id).error
    assert error is not None
    assert (error.code, "Submit it again" in error.detail) == (ErrorCode.storage, True)


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


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_other_formats(shop: Shop, kind: str) -> None:
    job_id = shop.submit(format=kind)
    shop.do(job_id)
    image = shop.job(job_id).images[0]
    assert image.format == kind
    assert image.blob.endswith("jpg" if kind == "jpeg" else "webp")


def test_frames_become_one_picture_of_one_seed(shop: Shop) -> None:
    texts = {"text": ["a bird", "a long bird"], "frames": 5}
    job_id = shop.submit(**texts, count=2, format="gif")
    shop.do(job_id)
    images = shop.job(job_id).images
    assert [(i.seed, i.frames, i.format, i.width) for i in images] == [
        (5, 5, "gif", 8),
        (6, 5, "gif", 8),
    ]
    assert sum(shop.pipeline.batches) == 10  # the batcher counts frames
    with Image.open(io.BytesIO(shop.runner.blobs.get(images[0].blob))) as moving:
        assert moving.n_frames == 5


def test_a_strip_ends_with_the_captions_themselves(shop: Shop) -> None:
    def picture(**request: object) -> np.ndarray:
        job_id = shop.submit(**request)  # type: ignore[arg-type]
        shop.do(job_id)
        image = shop.job(job_id).images[0]
        assert image.frames == 1
        return np.asarray(Image.open(io.BytesIO(shop.runner.blobs.get(image.blob))))

    strip = picture(text=["a bird", "a long bird"], frames=3, format="png")
    assert strip.shape == (8, 24, 3)
    assert np.array_equal(strip[:, :8], picture(text="a bird"))
    assert np.array_equal(strip[:, 16:], picture(text="a long bird"))


def test_a_frame_that_fails_fails_its_picture(shop: Shop) -> None:
    texts = {"text": ["a bird", "crash"], "frames": 3, "format": "webp"}
    job_id = shop.submit(**texts)  # type: ignore[arg-type]
    shop.do(job_id)
    job = shop.job(job_id)
    assert job.error is not None
    assert job.error.code is ErrorCode.model_error


def test_the_receipt_says_which_candidates_were_chosen(shop: Shop) -> None:
    seeds = [11, 12, 13]
    job_id = shop.submit("a bird", seed=11, count=3, candidates=8, noise_scale=0.5)
    shop.do(job_id)
    job = shop.job(job_id)
    brightest = [
        int(np.argmax(np.random.default_rng([seed, 6]).random((8, 3), np.float32).sum(1)))
        for seed in seeds
    ]
    assert job.receipt["seeds"] == seeds
    assert (job.receipt["candidates"], job.receipt["noise_scale"]) == (8, 0.5)
    assert job.receipt["chosen"] == brightest == [i.candidate for i in job.images]
    assert any(brightest)
    assert job.receipt["batch_sizes"] == [8]


def test_jobs_that_were_queued_without_serving_options_run(shop: Shop) -> None:
    job_id = shop.submit("a bird")
    shop.do(job_id)
    assert shop.job(job_id).status is Status.succeeded
    assert "candidates" not in shop.job(job_id).receipt


def test_explanations_lie_beside_their_pictures(shop: Shop) -> None:
    shop.pipeline = EXPLAINING
    shop.runner.pipelines = FakeLoader(EXPLAINING)
    job_id = shop.submit("a red bird", count=2, explain=True)
    shop.do(job_id)
    for image in shop.job(job_id).images:
        result = ExplanationView.model_validate_json(shop.runner.blobs.get(image.explanation))
        assert (result.image, result.method) == (image.index, "fake")
        assert [(w.word, w.start, w.end, w.peak) for w in result.words] == [("red", 2, 5, 0.5)]
        data = base64.b64decode(result.words[0].maps["attention"].partition("base64,")[2])
        with Image.open(io.BytesIO(data)) as plane:
            assert (plane.format, plane.mode) == ("PNG", "L")
            assert np.asarray(plane).tolist() == [[0, 128], [255, 64]]
    unasked = shop.submit("a red bird")
    shop.do(unasked)
    assert shop.job(unasked).images[0].explanation == ""


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


EXPLAINING = ExplainingPipeline()


def test_each_job_has_one_line_at_its_end_without_its_caption(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    done, failed = shop.submit("secretly"), shop.submit("refuse secretly")
    broken = shop.submit(text=["secretly"] * 99)  # no request of this version
    for job_id in (done, failed, broken):
        shop.do(job_id)
        (end,) = (r for r in caplog.records if r.message.startswith(f"job {job_id} ended: "))
        facts = end.__dict__["facts"]
        assert facts["outcome"] == ("succeeded" if job_id == done else facts["outcome"])
        assert facts["task"] == "synthesize"
    assert shop.job(broken).status is Status.failed
    assert "secretly" not in caplog.text
