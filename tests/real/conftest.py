"""The whole service as a user runs it: real broker, worker, reconciler and server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jobs.connections import connect, wakeups_key
from tests.models.tiny import tiny_bundle
from tests.ports import free_port


class Service:
    """One private instance of ``mmml serve``."""

    def __init__(self, state_dir: Path, weights: Path) -> None:
        self.state_dir, self.weights = state_dir, weights
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=90)

    def start(
        self,
        host: str = "127.0.0.1",
        fake: bool = False,
        folder: Path | None = None,
        **settings: str,
    ) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        env |= {} if fake else {"MMML_WEIGHTS_DIR": str(self.weights)}
        env |= {"MMML_LEASE_TTL": "3", **settings}
        command = [
            sys.executable,
            "-P",
            "-m",
            "mmml",
            "serve",
            "--host",
            host,
            "--port",
            str(self.port),
            "--state-dir",
            str(self.state_dir),
            *(["--fake"] if fake else []),
        ]
        with (self.state_dir.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        self.wait_until(lambda: self._answers("/healthz"), 30)

    def ready(self, seconds: float = 60) -> None:
        self.wait_until(lambda: self._answers("/readyz"), seconds)

    def _answers(self, path: str) -> bool:
        try:
            return self.http.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until(self, condition: object, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        paths = [self.state_dir.parent / "serve.log", *self.state_dir.glob("logs/*.log")]
        return "\n".join(f"== {p.name}\n{p.read_text()[-3000:]}" for p in paths if p.exists())

    def pids(self) -> dict[int, str]:
        """All processes of this instance, by their environment or command line."""
        found = {}
        mark = str(self.state_dir).encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                text = (folder / "cmdline").read_bytes()
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z" and (mark in text or mark in (folder / "environ").read_bytes()):
                    found[int(folder.name)] = text.replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def pid_of(self, part: str) -> int:
        """The process itself, not its guard."""
        return next(
            p
            for p, text in self.pids().items()
            if part in text and "app.local.parent_watcher" not in text
        )

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    def lose_wakeups(self) -> int:
        """Delete those on their way; returns how many lists that were."""
        client = connect(f"unix://{self.state_dir}/valkey.sock?db=0")
        try:
            return int(client.delete(wakeups_key("mmml:")))
        finally:
            client.close()

    def submit(self, text: str = "a red bird", **fields: object) -> str:
        response = self.http.post("/synthesize", json={"text": text, **fields})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def status(self, job_id: str, wait: float = 0) -> str:
        return str(self.http.get(f"/jobs/{job_id}", params={"wait": wait}).json()["status"])

    def all_succeed(self, jobs: list[str], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for job in jobs:
            while (status := self._status_or_none(job)) != "succeeded":
                assert status in (None, "queued", "running"), self.http.get(f"/jobs/{job}").text
                assert time.monotonic() < deadline, (
                    f"{job} is {status} after {seconds} s\n{self.logs()}"
                )
                time.sleep(0.1)

    def _status_or_none(self, job: str) -> str | None:
        response = self.http.get(f"/jobs/{job}", params={"wait": 2})
        return None if response.status_code == 503 else str(response.json()["status"])

    def stop(self) -> float:
        """SIGTERM; returns how many seconds it took."""
        assert self.process
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(40)
        return time.monotonic() - started


@pytest.fixture
def service() -> Iterator[Service]:
    """Not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="mmml-"))  # short: sockets have short paths
    tiny_bundle(folder / "weights" / "tiny")
    made = Service(folder / "state", folder / "weights")
    yield made
    if made.process and made.process.poll() is None:
        made.stop()
    made.http.close()
    shutil.rmtree(folder, ignore_errors=True)
