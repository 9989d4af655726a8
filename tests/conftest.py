"""Shared fixtures: a real broker, and the smallest bundles."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import settings

from app.local.broker import BROKER_MEMORY, broker_command, wait_for_socket
from jobs.captions import END
from jobs.connections import connect
from jobs.redis_store import JobStore

# Examples take as long as a busy machine makes them.
settings.register_profile("quick", deadline=None, max_examples=60)
settings.register_profile("chaos", deadline=None, max_examples=2000)
settings.load_profile("quick")

WORDS = [
    END,
    *[
        "a",
        "bird",
        "with",
        "red",
        "blue",
        "yellow",
        "green",
        "crown",
        "belly",
        "and",
        "the",
        "this",
        "has",
        "wings",
    ],
]


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """Address of a private broker with an append-only file, of all tests of this session."""
    with private_broker() as address:
        yield address


@contextlib.contextmanager
def private_broker(memory: int = BROKER_MEMORY) -> Iterator[str]:
    """Address of a broker that no other test knows: its memory, in bytes, is one test's alone."""
    folder = Path(tempfile.mkdtemp(prefix="mmml-"))  # short: sockets have short paths
    socket = folder / "v.sock"
    process = subprocess.Popen(broker_command(folder, socket, memory), stdout=subprocess.DEVNULL)
    try:
        wait_for_socket(socket)
        yield f"unix://{socket}?db=0"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


_numbers = itertools.count()


@pytest.fixture
def prefix() -> str:
    """Of the keys of one test alone."""
    return f"t{next(_numbers)}-{os.getpid()}:"


@pytest.fixture
def redis_client(valkey: str) -> Iterator[redis.Redis]:
    client = connect(valkey)
    yield client
    client.close()


@pytest.fixture
def store(redis_client: redis.Redis, prefix: str) -> JobStore:
    """An empty job store."""
    return JobStore(redis_client, prefix)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights folder whose only bundle offers every task on paper: what a gateway reads."""
    folder = tmp_path / "weights"
    write_paper_bundle(folder / "paper")
    return folder


def write_paper_bundle(
    folder: Path,
    tasks: tuple[str, ...] = ("synthesize", "manipulate", "inpaint"),
    scale: int | None = None,
) -> None:
    """The JSON files of a bundle without any tensor. scale: of its detail stage, if it has one."""
    folder.mkdir(parents=True)
    spec = {
        "method": "fake",
        "size": 64,
        "max_words": 12,
        "tokenizer": "regexp",
        "vocabulary": "vocabulary.json",
    }
    inpaint = {**spec, "classical": ["telea"]}
    raw: dict[str, Any] = {
        "format": 1,
        "name": folder.name,
        "domain": "tests",
        "licence": "Apache-2.0",
        "tasks": {t: inpaint if t == "inpaint" else spec for t in tasks},
        "metrics": {},
    }
    if scale:
        raw["tasks"]["detail"] = {**spec, "network": {"scale": scale}}
    (folder / "bundle.json").write_text(json.dumps(raw))
    (folder / "vocabulary.json").write_text(json.dumps({"words": WORDS}))


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], None]:
    """Wait for a condition."""
    import time

    def wait(condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true in time"
            time.sleep(0.02)

    return wait
