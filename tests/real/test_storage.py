"""Storages that are not a folder of this machine, and storages that fail."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from jobs.blobs import BlobStore, input_key, output_key
from jobs.errors import BlobError, BlobMissing
from tests.app.conftest import png
from tests.real.conftest import Service
from tests.real.s3 import S3Server

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Running, with an empty bucket ``photos``; this process's environment leads to it."""
    server = S3Server("photos")
    server.start()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


def keys(url: str) -> list[str]:
    """What lies in a store, as seen by somebody else."""
    store = from_url(url, client_options={"allow_http": True})
    return sorted(meta["path"] for chunk in obstore.list(store) for meta in chunk)


def test_bytes_in_s3(s3: S3Server) -> None:
    blobs = BlobStore.from_url("s3://photos/service")
    large = os.urandom(24 * 2**20)  # sent in parts
    blobs.put(input_key("a", "image"), large)
    blobs.put(output_key("a", "t", 0, "png"), b"2")
    blobs.put(input_key("ab", "image"), b"3")
    assert blobs.get(input_key("a", "image")) == large
    with pytest.raises(BlobMissing):
        blobs.get(input_key("none", "image"))
    blobs.delete_prefix("jobs/a/")
    blobs.delete_prefix("jobs/a/")
    assert keys("s3://photos") == ["service/jobs/ab/in-image.png"]


def test_a_missing_bucket_is_told_from_a_missing_object(s3: S3Server) -> None:
    blobs = BlobStore.from_url("s3://nobody-made-this")
    uses = (lambda: blobs.put("a", b""), lambda: blobs.get("a"), lambda: blobs.delete_prefix("a/"))
    for use in uses:
        with pytest.raises(BlobError, match="could not be") as caught:
            use()
        assert not isinstance(caught.value, BlobMissing)
        assert (caught.value.reason, caught.value.lasting) == (
            "The service's storage does not exist.",
            True,
        )


def test_a_server_that_is_away_is_given_up_soon(s3: S3Server) -> None:
    blobs = BlobStore.from_url("s3://photos")
    s3.stop()
    started = time.monotonic()
    with pytest.raises(BlobError) as caught:
        blobs.put("a", b"x")
    assert time.monotonic() - started < 10
    assert not caught.value.lasting
    s3.start()


def test_the_service_on_s3(service: Service, s3: S3Server) -> None:
    service.start(MMML_STORAGE_URL="s3://photos/service")
    service.ready()
    http = service.http
    made = http.post(
        "/manipulate?wait=60", data={"text": "a blue bird"}, files={"image": png(90, 50)}
    ).json()
    assert made["status"] == "succeeded", made
    assert http.get(made["images"][0]["url"]).status_code == 200
    assert len([key for key in keys("s3://photos") if "/jobs/" in key]) == 2
    assert http.delete(f"/jobs/{made['id']}").status_code == 204
    assert [key for key in keys("s3://photos") if "/jobs/" in key] == []

    s3.stop()  # what was accepted waits until the storage is back
    job = service.submit()
    refused = http.post("/manipulate", data={"text": "a blue bird"}, files={"image": png(90, 50)})
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "storage can't be reached" in refused.json()["detail"]
    s3.start()
    service.all_succeed([job], 90)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until the file system has no page left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def failed_for(service: Service, reason: str) -> None:
    """A job fails, and says why; so does an upload; the service goes on."""
    http = service.http
    job = http.get(f"/jobs/{service.submit()}?wait=60").json()
    assert (job["status"], job["error"]) == (
        "failed",
        {"code": "storage", "detail": f"{reason} Try again later."},
    )
    upload = http.post("/manipulate", data={"text": "a blue bird"}, files={"image": png(90, 50)})
    assert upload.status_code == 503
    assert upload.json()["detail"] == f"{reason} Try again later."
    assert http.get("/readyz").status_code == 200


def test_a_disk_that_is_full_or_read_only(service: Service, small_disk: Path) -> None:
    service.start(MMML_STORAGE_URL=small_disk.as_uri(), MMML_MIN_FREE_DISK="0")
    service.ready()
    filler = small_disk / "filler"
    fill(filler)
    failed_for(service, "The service's storage is full.")
    filler.unlink()
    service.all_succeed([service.submit()], 60)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    failed_for(service, "The service's storage does not take writes.")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    service.all_succeed([service.submit()], 60)
