"""Gateways, workers and reconcilers as processes of their own, of this version or another."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.connections import connect
from jobs.redis_store import JobStore
from tests.chaos.processes import ROOT, Process, wait_until
from tests.chaos.stack import answers, write_bundle
from tests.ports import free_port


class Fleet:
    """On one Redis, with workers whose pictures are drawn without networks."""

    def __init__(self, valkey: str, prefix: str, folder: Path) -> None:
        self.folder, self.store = folder, JobStore(connect(valkey), prefix)
        self.processes: list[Process] = []
        self._settings = {
            "MMML_REDIS_URL": valkey,
            "MMML_REDIS_PREFIX": prefix,
            "MMML_STORAGE_URL": (folder / "blobs").as_uri(),
            "MMML_WEIGHTS_DIR": str(folder / "weights"),
            "MMML_LEASE_TTL": "3",
            "MMML_DRAIN": "5",
            "OMP_NUM_THREADS": "1",
        }
        write_bundle(folder / "weights" / "null")

    def start(self, module: str, tree: Path = ROOT, **settings: str) -> Process:
        """``tree``: the checkout whose code runs."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        env |= {**self._settings, "PYTHONPATH": f"{tree}:{tree}/client", **settings}
        command = [sys.executable, "-W", "ignore", "-P", "-m", module]
        log = self.folder / f"{module}-{len(self.processes)}.log"
        process = Process(module, command, env, log, self.folder)
        process.start()
        self.processes.append(process)
        return process

    def worker(self, tree: Path = ROOT) -> Process:
        """Started, and alive for the others."""
        before = len(self.store.live_workers())
        name = {"MMML_WORKER_NAME": f"worker-{len(self.processes)}"}
        process = self.start("workers.fake", tree, **name)
        wait_until(lambda: len(self.store.live_workers()) > before, 60, self.logs())
        return process

    def gateway(self, tree: Path = ROOT, **settings: str) -> tuple[Process, str]:
        """Started and answering, with its address."""
        port = settings.setdefault("MMML_PORT", str(free_port()))
        url = f"http://127.0.0.1:{port}"
        process = self.start("app.gateway", tree, **settings)
        wait_until(lambda: answers(f"{url}/healthz"), 60, self.logs())
        return process, url

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"== {p.name}\n{p.read_text()[-2000:]}" for p in self.folder.glob("*.log"))

    def end(self) -> None:
        for process in self.processes:
            process.down()


@pytest.fixture
def fleet(valkey: str, prefix: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(valkey, prefix, tmp_path)
    yield made
    made.end()


def submit(url: str, **fields: Any) -> str:
    """The id of a new job."""
    answer = httpx.post(f"{url}/synthesize", json={"text": "a red bird", **fields}, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ends(url: str, jobs: list[str], seconds: float = 60) -> list[str]:
    """The statuses of jobs, each waited for."""
    wait = {"wait": seconds}
    found = [httpx.get(f"{url}/jobs/{job}", params=wait, timeout=90).json() for job in jobs]
    return [job["status"] if not job["error"] else str(job["error"]) for job in found]
