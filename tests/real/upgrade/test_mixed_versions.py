"""Processes of two versions share one Redis while a service is upgraded: nothing fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path

import httpx
import pytest

from jobs.job import JOB_SCHEMA
from tests.chaos.processes import ROOT
from tests.real.fleet import Fleet, ends, fleet, submit

pytestmark = [pytest.mark.real, pytest.mark.slow]
__all__ = ["fleet"]  # a fixture
RELEASE = Path(__file__).with_name("release.txt")  # commit and version of the last one


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """This code with a higher schema and one more field of requests."""
    tree = tmp_path / "next"
    shutil.copytree(ROOT / "jobs", tree / "jobs")
    for room in ("app", "workers", "models", "client"):
        (tree / room).symlink_to(ROOT / room)
    _replace(tree / "jobs/job.py", f"JOB_SCHEMA = {JOB_SCHEMA} ", f"JOB_SCHEMA = {JOB_SCHEMA + 1} ")
    needed = "return 2 if batch else 1"
    _replace(tree / "jobs/job.py", needed, "return JOB_SCHEMA")
    summary = '    summary = "Generate images from text"\n'
    _replace(tree / "jobs/requests.py", summary, f"{summary}    mood: str | None = None\n")
    return tree


class Load:
    """Submits a job every so often until it is stopped."""

    def __init__(self, url: str) -> None:
        self.url, self.jobs = url, list[str]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.03):
            self.jobs.append(submit(self.url))


def test_no_job_fails_in_a_rolling_upgrade_across_a_schema(
    fleet: Fleet, next_version: Path
) -> None:
    """In the worst order: a new gateway before the new workers."""
    old_workers = [fleet.worker(), fleet.worker()]
    reconciler = fleet.start("app.reconciler")
    old_gateway, old_url = fleet.gateway()
    _, new_url = fleet.gateway(next_version)
    with Load(old_url) as load:
        newer = [submit(new_url, mood="good") for _ in range(5)]
        assert ends(old_url, [submit(old_url) for _ in range(5)]) == ["succeeded"] * 5
        waiting = httpx.get(f"{old_url}/jobs/{newer[0]}").json()
        assert (waiting["status"], waiting["attempts"]) == ("queued", 0)
        for old in old_workers:
            fleet.worker(next_version)
            assert old.terminate(30) == 0
        assert reconciler.terminate(30) == 0
        fleet.start("app.reconciler", next_version)
    assert old_gateway.terminate(40) == 0
    assert len(load.jobs) > 20
    assert set(ends(new_url, [*newer, *load.jobs])) == {"succeeded"}


def _git(*words: str) -> bool:
    asks_nobody = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *words]
    try:
        done = subprocess.run(command, cwd=ROOT, env=asks_nobody, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The code of the last release, or of the commit that MMML_TEST_EARLIER names."""
    commit = os.environ.get("MMML_TEST_EARLIER") or RELEASE.read_text().split()[0]
    known = "cat-file", "-e", f"{commit}^{{commit}}"
    fetched = "fetch", "-q", "--depth", "1", "origin", commit  # where the history was left out
    if not (_git(*known) or _git(*fetched)):
        pytest.skip(f"this checkout has no commit {commit}, and its origin gives none")
    archive, tree = tmp_path / "earlier.tar", tmp_path / "earlier"
    assert _git("archive", "-o", str(archive), commit, "app", "jobs", "workers", "models", "client")
    with tarfile.open(archive) as packed:
        packed.extractall(tree, filter="data")
    return tree


def test_the_earlier_gateway_serves_with_this_worker(fleet: Fleet, earlier: Path) -> None:
    fleet.worker()
    fleet.start("app.reconciler")
    _, url = fleet.gateway(earlier)
    assert set(ends(url, [submit(url, count=2) for _ in range(20)])) == {"succeeded"}


def test_this_gateway_serves_with_the_earlier_worker(fleet: Fleet, earlier: Path) -> None:
    fleet.worker(earlier)
    fleet.start("app.reconciler", earlier)
    _, url = fleet.gateway()
    assert set(ends(url, [submit(url, count=2) for _ in range(20)])) == {"succeeded"}
