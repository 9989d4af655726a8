"""Redis as others run it: a user with few rights, a Cluster of one node; and Celery's own tools."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from app.local.broker import broker_binary
from app.local.serve import write_fake_bundle
from jobs.connections import celery_config, wait_until_ready
from tests.ports import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
PREFIX = "{mmml}:"
CHANNELS = ("&{mmml}*", "&{mmml}:celery:/0.celery.pidbox")
RULES = ("on", ">secret", "~{mmml}*", *CHANNELS, "+@all", "-@dangerous", "+info")


@contextmanager
def process(folder: Path, *command: str, **settings: str) -> Iterator[None]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(command, env={**env, **settings}, stdout=log, stderr=log)
    try:
        yield
    finally:
        started.terminate()
        started.wait(20)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mmml-") as made:
        yield Path(made)


@contextmanager
def broker(folder: Path, *options: str) -> Iterator[str]:
    """Its address."""
    port = str(free_port())
    command = [broker_binary(), "--port", port, "--bind", "127.0.0.1", "--save", "", *options]
    with process(folder, *command, "--dir", str(folder)):
        url = f"redis://127.0.0.1:{port}/0"
        wait_until_ready(url, 20)
        yield url


@contextmanager
def service(folder: Path, url: str, **more: str) -> Iterator[httpx.Client]:
    """Gateway, reconciler and a worker of fakes, apart."""
    write_fake_bundle(folder / "weights" / "fake")
    port = str(free_port())
    settings = {
        "MMML_REDIS_URL": url,
        "MMML_REDIS_PREFIX": PREFIX,
        "MMML_PORT": port,
        "MMML_STORAGE_URL": (folder / "blobs").as_uri(),
        "MMML_WEIGHTS_DIR": str(folder / "weights"),
        **more,
    }
    with ExitStack() as stack:
        for module in ("app.gateway", "app.reconciler", "workers.fake"):
            stack.enter_context(process(folder, sys.executable, "-m", module, **settings))
        base = f"http://127.0.0.1:{port}"
        http = stack.enter_context(httpx.Client(base_url=base, timeout=60))
        deadline = time.monotonic() + 60
        while not _ready(http):
            assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        yield http


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def does_its_work(http: httpx.Client) -> None:
    for _ in range(3):
        made = http.post("/synthesize?wait=30", json={"text": "a red bird"})
        assert (made.status_code, made.json()["status"]) == (200, "succeeded"), made.text
    job = made.json()["id"]
    assert http.get(f"/jobs/{job}/images/0").headers["content-type"] == "image/png"
    assert http.delete(f"/jobs/{job}").status_code == 204


def test_a_user_with_few_rights_is_enough(folder: Path) -> None:
    with broker(folder) as url:
        client = redis.Redis.from_url(url)
        client.execute_command("ACL", "SETUSER", "mmml", *RULES)
        with service(folder, url.replace("://", "://mmml:secret@")) as http:
            does_its_work(http)
        assert all(name.startswith(b"{mmml}") for name in client.scan_iter())
        refused = [entry["reason"] for entry in client.acl_log()]
        client.close()
    assert refused == []


def test_a_cluster_of_one_node_will_do(folder: Path) -> None:
    bus = str(free_port())  # else 10,000 more than the port, which may be more than there are
    with broker(folder, "--cluster-enabled", "yes", "--cluster-port", bus) as url:
        client = redis.Redis.from_url(url)
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            time.sleep(0.1)
        with service(folder, url) as http:
            does_its_work(http)
        client.close()


def test_celery_sees_the_worker_when_it_may(
    folder: Path, eventually: Callable[[Callable[[], bool], float], None]
) -> None:
    from celery import Celery

    with broker(folder) as url, service(folder, url, MMML_REMOTE_CONTROL="1") as http:
        app = Celery("test", set_as_current=False)
        app.conf.update(celery_config(url, PREFIX))
        eventually(lambda: bool(app.control.ping(timeout=2)), 30)
        (stats,) = app.control.inspect(timeout=5).stats().values()
        assert stats["pool"]["implementation"].startswith("celery.concurrency")
        does_its_work(http)
