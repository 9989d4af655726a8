"""Sizes that follow from the device."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from workers.settings import WorkerSettings


@pytest.mark.parametrize(
    ("device", "batch", "jobs"), [("cpu", 8, 16), ("cuda", 64, 128), ("cuda:1", 64, 128)]
)
def test_what_is_left_open_follows_the_device(device: str, batch: int, jobs: int) -> None:
    settings = WorkerSettings(max_batch=0, concurrency=0).sized_for(device)
    assert (settings.max_batch, settings.concurrency) == (batch, jobs)


def test_what_is_set_is_taken() -> None:
    settings = WorkerSettings(max_batch=16, concurrency=5).sized_for("cuda")
    assert (settings.max_batch, settings.concurrency) == (16, 5)
    assert WorkerSettings(max_batch=16, concurrency=0).sized_for("cuda").concurrency == 32


def test_what_is_pinned_is_served() -> None:
    assert WorkerSettings(pinned_bundles=("a",)).serve_bundles == ()
    WorkerSettings(pinned_bundles=("a",), serve_bundles=("a", "b"))
    with pytest.raises(ValidationError, match="names c, which MMML_SERVE_BUNDLES leaves out"):
        WorkerSettings(pinned_bundles=("a", "c"), serve_bundles=("a", "b"))
