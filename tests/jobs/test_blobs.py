"""Bytes outside the queue, in memory and in a folder."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from jobs.blobs import (
    FULL,
    NO_STORE,
    READ_ONLY,
    REFUSED,
    BlobStore,
    blob_error,
    input_key,
    output_key,
    output_prefix,
)
from jobs.errors import BlobError, BlobMissing


@pytest.fixture(params=["memory", "file"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "memory":
        return BlobStore.from_url("memory://")
    return BlobStore.from_url((tmp_path / "blobs with space").as_uri())


def test_bytes_come_back(blobs: BlobStore) -> None:
    blobs.put(input_key("j", "image"), b"one")
    blobs.put(input_key("j", "image"), b"two")
    assert blobs.get(input_key("j", "image")) == b"two"


def test_missing_is_told_apart(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        blobs.get("jobs/none/in-image.png")


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
        BlobStore.from_url("nonsense://x")


_BAD_KEYS = ["", "..", "../x", "a/../../x", "a/./b", "/etc/passwd", "a//b", "a/", "a\\b", "a\0b"]
_BAD_KEYS += ["a/.b", "a b", "ü", "a\n", "x" * 600, "a%2e%2e/b", "-x", "a#1"]


@pytest.mark.parametrize("key", _BAD_KEYS)
def test_a_key_can_not_lead_out_of_the_store(blobs: BlobStore, tmp_path: Path, key: str) -> None:
    for use in (lambda: blobs.put(key, b"x"), lambda: blobs.get(key)):
        with pytest.raises(BlobError, match="is not a key"):
            use()
    if not key.endswith("/"):
        with pytest.raises(BlobError, match="is not a key"):
            blobs.delete_prefix(key)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_erasing_leaves_no_folder_and_no_half_written_file(tmp_path: Path) -> None:
    blobs = BlobStore.from_url(tmp_path.as_uri())
    blobs.put(output_key("a", "t", 0, "png"), b"1")
    (tmp_path / "jobs/a/t-1.png#1").write_bytes(b"a worker was killed while it wrote this")
    blobs.delete_prefix("jobs/a/")
    assert list(tmp_path.rglob("*")) == [tmp_path / "jobs"]


def test_a_write_leaves_one_file_or_none(tmp_path: Path) -> None:
    blobs = BlobStore.from_url(tmp_path.as_uri())
    blobs.put("a/b", b"1")
    (tmp_path / "a/folder/c").mkdir(parents=True)
    with pytest.raises(BlobError, match=r"a/folder could not be stored"):
        blobs.put("a/folder", b"2")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "a/b"]


def test_one_run_is_erased_beside_another(blobs: BlobStore) -> None:
    for key in (output_key("a", "t", 0, "png"), output_key("a", "t", 1, "json")):
        blobs.put(key, b"1")
    kept = (output_key("a", "u", 0, "png"), input_key("a", "image"), output_key("b", "t", 0, "png"))
    for key in kept:
        blobs.put(key, b"2")
    blobs.delete_prefix(output_prefix("a", "t"))
    with pytest.raises(BlobMissing):
        blobs.get(output_key("a", "t", 0, "png"))
    with pytest.raises(BlobMissing):
        blobs.get(output_key("a", "t", 1, "json"))
    assert [blobs.get(key) for key in kept] == [b"2"] * 3
    blobs.delete_prefix(output_prefix("none", "t"))


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    blobs, stop = BlobStore.from_url(tmp_path.as_uri()), threading.Event()
    contents = {bytes([n]) * 2_000_000 for n in (1, 2)}
    blobs.put("a/b", next(iter(contents)))

    def rewrite() -> None:
        while not stop.is_set():
            for data in contents:
                blobs.put("a/b", data)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert all(blobs.get("a/b") in contents for _ in range(50))
    finally:
        stop.set()
        writer.join()


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    BlobStore.from_url((tmp_path / "new").as_uri())
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GenericError("Unable to write (os error 28)\n\nDebug source:\nGeneric {"), FULL),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), FULL),
        (GenericError("Unable to create file (os error 30)"), READ_ONLY),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), READ_ONLY),
        (PermissionDeniedError("403 Forbidden: AccessDenied"), REFUSED),
        (GenericError("404 <Code>NoSuchBucket</Code>"), NO_STORE),
    ],
)
def test_a_lasting_fault_has_its_reason(error: Exception, reason: str) -> None:
    made = blob_error("jobs/a/in-image.png could not be stored", error)
    assert (made.reason, made.lasting) == (reason, True)
    assert "\n" not in str(made)


def test_an_outage_may_pass() -> None:
    made = blob_error("x could not be read", GenericError("connection refused"))
    assert not made.lasting
    assert "can't be reached" in made.reason


def test_a_folder_that_vanished_is_made_again(tmp_path: Path) -> None:
    blobs = BlobStore.from_url((tmp_path / "b").as_uri())
    (tmp_path / "b").rmdir()
    blobs.put("a/b", b"x")
    assert blobs.get("a/b") == b"x"


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BlobError, match="can't be opened"):
        BlobStore.from_url((tmp_path / "file").as_uri())


def test_what_is_left_of_the_disk(tmp_path: Path) -> None:
    assert BlobStore.from_url("memory://").free_bytes() is None
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri())
    assert blobs.free_bytes() == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    (tmp_path / "blobs").rmdir()
    assert blobs.free_bytes() is None
