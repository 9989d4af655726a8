"""Bytes outside the queue, in memory and in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.blobs import BlobStore, input_key, job_folder, output_key
from jobs.errors import BlobError, BlobMissing


@pytest.fixture(params=["memory", "file"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "memory":
        return BlobStore.at("memory://")
    return BlobStore.at((tmp_path / "blobs with space").as_uri())


def test_bytes_come_back(blobs: BlobStore) -> None:
    blobs.put(input_key("j", "image"), b"one")
    blobs.put(input_key("j", "image"), b"two")
    assert blobs.get(input_key("j", "image")) == b"two"


def test_missing_is_told_apart(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        blobs.get("jobs/none/in/image.png")


def test_a_job_is_erased_whole_and_alone(blobs: BlobStore) -> None:
    blobs.put(input_key("a", "image"), b"1")
    blobs.put(output_key("a", "t", 0, "png"), b"2")
    blobs.put(input_key("b", "image"), b"3")
    blobs.delete_prefix("jobs/a/")
    blobs.delete_prefix("jobs/a/")
    with pytest.raises(BlobMissing):
        blobs.get(output_key("a", "t", 0, "png"))
    assert blobs.get(input_key("b", "image")) == b"3"


def test_bad_addresses_are_refused() -> None:
    with pytest.raises(BlobError, match="can't be opened"):
        BlobStore.at("nonsense://x")


def test_erasing_leaves_no_empty_folder(tmp_path: Path) -> None:
    blobs = BlobStore.at(tmp_path.as_uri())
    blobs.put(input_key("a", "image"), b"1")
    blobs.put(output_key("a", "t", 0, "png"), b"2")
    blobs.delete_prefix(job_folder("a"))
    assert list(tmp_path.iterdir()) == []
