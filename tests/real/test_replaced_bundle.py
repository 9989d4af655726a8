"""A bundle is replaced while it is used."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.conftest import Service
from tests.workers.test_bundles import replace

pytestmark = pytest.mark.real


def test_no_job_fails_when_its_bundle_is_replaced(service: Service) -> None:
    service.start()
    service.ready()
    (folder,) = (path.parent for path in service.weights.glob("*/bundle.json"))
    jobs: list[str] = []
    for round_ in range(40):
        jobs += [service.submit(count=2) for _ in range(5)]
        if round_ in (10, 20, 30):
            replace(folder)
        if round_ == 31:  # what was loaded of the earlier version is gone
            service.kill(service.pid_of("-m workers"))
        time.sleep(0.15)
    service.all_succeed(jobs, 90)
    receipts = [service.http.get(f"/jobs/{job}").json()["receipt"] for job in jobs]
    assert len({receipt["bundle_sha256"] for receipt in receipts}) >= 3

    def one_worker_has_the_last() -> bool:  # the killed one is listed until its heartbeat is over
        (state,) = service.http.get("/readyz").json()["tasks"]["synthesize"].values()
        return (state["workers"], state["of_another_version"]) == (1, 0)

    service.wait_until(one_worker_has_the_last, 60)


def test_a_worker_that_can_load_nothing_exits(valkey: str, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "weights/broken").mkdir(parents=True)
    (tmp_path / "weights/broken/bundle.json").write_text(json.dumps({"tasks": 5}))
    environment = {
        "MMML_REDIS_URL": valkey,
        "MMML_REDIS_PREFIX": prefix,
        "MMML_STORAGE_URL": (tmp_path / "blobs").as_uri(),
        "MMML_WEIGHTS_DIR": str(tmp_path / "weights"),
        "PYTHONPATH": ":".join(sys.path),
    }
    command = [sys.executable, "-m", "workers"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "can be loaded" in ended.stderr
    assert "MMML_WEIGHTS_DIR" in ended.stderr
