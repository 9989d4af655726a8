"""A bundle is replaced while it is used."""

from __future__ import annotations

import json
import subprocess
import sys
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
    versions: set[str] = set()

    def submit_five() -> None:
        jobs.extend(service.submit(count=2) for _ in range(5))

    def version_of(job: str) -> str:
        return str(service.http.get(f"/jobs/{job}").json()["receipt"]["bundle_sha256"])

    def another_version_made_one() -> bool:
        """Submits five more and looks what made the last of them."""
        submit_five()
        service.all_succeed(jobs[-1:], 60)
        known = len(versions)
        versions.add(version_of(jobs[-1]))
        return len(versions) > known

    assert another_version_made_one()
    for _ in range(3):
        submit_five()  # which are under way when it is replaced
        replace(folder)
        service.wait_until(another_version_made_one, 60)
    submit_five()
    replace(folder)
    service.kill(service.pid_of("-m workers"))  # what it had loaded of the earlier version is gone
    service.wait_until(another_version_made_one, 60)
    service.all_succeed(jobs, 90)
    assert {version_of(job) for job in jobs} == versions

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
