"""A job from claim to outcome."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from jobs.job import STREAM_START, ErrorCode, Status
from tests.workers.conftest import Eventually, Shop, failure


def test_a_job_succeeds_with_its_receipt(shop: Shop) -> None:
    job = shop.run(count=3)
    assert job.status is Status.succeeded
    assert [i.seed for i in job.images] == [5, 6, 7]
    assert job.receipt["seeds"] == [5, 6, 7]
    assert job.receipt["bundle"] == "fake"
    assert job.receipt["precision"] == "float32"
    assert job.warnings == ("first",)
    assert job.timings.model_ms is not None
    assert "candidates" not in job.receipt  # a request of a version without them runs as well
    assert len({shop.runner.blobs.get(i.blob) for i in job.images}) == 3


def test_model_time_is_the_forward_pass_alone(shop: Shop) -> None:
    shop.pipeline.seconds = 0.1
    timings = shop.run(count=2).timings
    assert timings.model_ms is not None
    assert timings.total_ms is not None
    assert 100 <= timings.model_ms < 100 + 50 + 100  # one batch of two, or two of one
    assert timings.total_ms >= timings.model_ms


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("refuse this", ErrorCode.bad_input, "This text is refused."),
        ("crash", ErrorCode.model_error, "The model failed on this input (ValueError)."),
    ],
)
def test_a_fault_fails_that_job_with_its_sentence(
    shop: Shop, text: str, code: ErrorCode, sentence: str
) -> None:
    status, found, detail = failure(shop.run(text))
    assert (status, found) == (Status.failed, code)
    assert detail.startswith(sentence)
    assert shop.run().status is Status.succeeded


def test_cancel_while_it_runs(shop: Shop, eventually: Eventually) -> None:
    shop.pipeline.seconds = 2.0
    job_id = shop.submit(count=8)
    thread = shop.begin(job_id, eventually)
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


def test_the_receipt_says_which_candidates_were_chosen(shop: Shop) -> None:
    seeds = [11, 12, 13]
    job = shop.run("a bird", seed=11, count=3, candidates=8, noise_scale=0.5)
    brightest = [
        int(np.argmax(np.random.default_rng([seed, 6]).random((8, 3), np.float32).sum(1)))
        for seed in seeds
    ]
    assert job.receipt["seeds"] == seeds
    assert (job.receipt["candidates"], job.receipt["noise_scale"]) == (8, 0.5)
    assert job.receipt["chosen"] == brightest == [i.candidate for i in job.images]
    assert any(brightest)
    assert job.receipt["batch_sizes"] == [8]


def test_each_job_has_one_line_at_its_end_without_its_caption(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    texts: list[tuple[Any, str]] = [
        ("secretly", "succeeded"),
        ("refuse secretly", "bad_input"),
        (["secretly"] * 99, "model_error"),  # no request of this version
    ]
    for text, outcome in texts:
        job = shop.run(text)
        (end,) = (r for r in caplog.records if r.message.startswith(f"job {job.id} ended: "))
        facts = end.__dict__["facts"]
        assert (facts["task"], facts["outcome"]) == ("synthesize", outcome)
    assert job.status is Status.failed
    assert "secretly" not in caplog.text
