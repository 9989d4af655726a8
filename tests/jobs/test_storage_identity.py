"""Processes that store their pictures elsewhere than all others refuse to start."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import redis

from jobs.blobs import BlobStore
from jobs.errors import StoreError, WrongStorage
from jobs.settings import SharedSettings
from jobs.storage_identity import BLOB_KEY, require_own_storage


def settings_for(valkey: str, prefix: str, folder: Path) -> SharedSettings:
    return SharedSettings(redis_url=valkey, redis_prefix=prefix, storage_url=folder.as_uri())


def test_the_same_storage_is_known_again(valkey: str, prefix: str, tmp_path: Path) -> None:
    mine = settings_for(valkey, prefix, tmp_path / "blobs")
    require_own_storage(mine)
    name = (tmp_path / "blobs" / BLOB_KEY).read_text()
    require_own_storage(mine)
    assert (tmp_path / "blobs" / BLOB_KEY).read_text() == name


def test_another_folder_is_refused(
    valkey: str, prefix: str, tmp_path: Path, redis_client: redis.Redis
) -> None:
    require_own_storage(settings_for(valkey, prefix, tmp_path / "a"))
    other = settings_for(valkey, prefix, tmp_path / "b")
    with pytest.raises(WrongStorage, match=r"holds no id.*same MMML_STORAGE_URL"):
        require_own_storage(other)
    assert not (tmp_path / "b" / BLOB_KEY).exists()
    BlobStore.from_url(other.storage_url).put(BLOB_KEY, b"c0ffee")
    with pytest.raises(WrongStorage, match="has the id c0ffee"):
        require_own_storage(other)
    redis_client.delete(f"{prefix}storage")  # as the sentence says
    require_own_storage(other)
    with pytest.raises(WrongStorage):
        require_own_storage(settings_for(valkey, prefix, tmp_path / "a"))


def test_of_several_that_start_together_one_folder_is_taken(
    valkey: str, prefix: str, tmp_path: Path
) -> None:
    answers: list[str] = []

    def start(folder: str) -> None:
        try:
            require_own_storage(settings_for(valkey, prefix, tmp_path / folder))
        except WrongStorage:
            answers.append("refused")
        else:
            answers.append(folder)

    threads = [threading.Thread(target=start, args=(name,)) for name in "aabbabab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) in (["a"] * 4 + ["refused"] * 4, ["b"] * 4 + ["refused"] * 4)


def test_memory_is_no_storage_of_a_service(valkey: str) -> None:
    with pytest.raises(WrongStorage, match="no other process can read"):
        require_own_storage(SharedSettings(redis_url=valkey))


def test_without_redis_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="MMML_REDIS_URL"):
        require_own_storage(settings_for("redis://127.0.0.1:1/0", "t:", tmp_path), timeout=0.1)


def test_a_storage_that_is_away_does_not_keep_a_process_from_starting(
    valkey: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "blobs"
    folder.mkdir()
    (folder / BLOB_KEY).mkdir()  # what is there can't be read
    require_own_storage(settings_for(valkey, prefix, folder))
    assert "not known yet" in caplog.text
