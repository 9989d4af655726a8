"""A server that is no master any more is left for the one that its address means by then."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from jobs.connections import connect
from jobs.errors import StoreError
from jobs.redis_store import JobStore
from tests.conftest import private_broker


def test_who_is_told_that_a_server_is_read_only_connects_anew(tmp_path: Path) -> None:
    address = tmp_path / "valkey.sock"
    with private_broker() as before, private_broker() as after:
        address.symlink_to(_socket(before))
        store = JobStore(connect(f"unix://{address}?db=0"))
        assert store.heartbeat("w", {}, 60) is False
        address.unlink()
        address.symlink_to(_socket(after))
        redis.Redis.from_url(before).replicaof("127.0.0.1", 1)
        with pytest.raises(StoreError, match="read only replica"):
            store.heartbeat("w", {}, 60)
        assert store.heartbeat("w", {}, 60) is False
        assert redis.Redis.from_url(after).hexists("mmml:workers", "w")
        store.close()


def _socket(url: str) -> str:
    return url.removeprefix("unix://").partition("?")[0]
