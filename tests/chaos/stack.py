"""The whole service, as separate processes on one machine: broker, gateways, reconciler,
workers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from app.local.broker import broker_command
from jobs.captions import END
from jobs.connections import connect, wait_until_ready
from jobs.redis_store import JobStore
from jobs.requests import TASKS
from tests.chaos.processes import Keeper, Process, at_end, wait_until
from tests.chaos.proxy import Proxy
from tests.chaos.strikes import Strikes
from tests.ports import free_port

LEASE = 5.0  # seconds
_WORDS = (END, "a", "bird", "wait", "slow", "crash", "die", "memory")


class Stack:
    """Running between :func:`running`'s start and end. ``quick``: trials are to be short."""

    def __init__(
        self, folder: Path, quick: bool, proxied: bool, data: Path, settings: Mapping[str, str]
    ) -> None:
        self.folder, self.quick, self._data = folder, quick, data
        self.blobs, self.logs = folder / "blobs", folder / "logs"
        self.strikes = Strikes(folder / "strikes")
        self.redis_port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}/0"
        self.proxy = Proxy(self.redis_port) if proxied else None
        self.keeper = Keeper()
        self.gateways: list[Process] = []
        self.workers: list[Process] = []
        self.reconcilers: list[Process] = []
        self.urls: list[str] = []
        self._settings = dict(settings)
        self.client = connect(self.redis_url)
        self.store = JobStore(self.client)

    def start(self, gateways: int, workers: int) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        write_bundle(self.folder / "weights" / "null")
        self.broker = self.keeper.add(self._process("broker", self._broker_command()))
        wait_until_ready(self.redis_url, 30)
        if self.proxy:
            self.proxy.start()
        self.keeper.start()
        for _ in range(gateways):
            self.add_gateway()
        self.add_reconciler()
        for _ in range(workers):
            self.add_worker()
        self.ready()

    def ready(self, seconds: float = 90) -> None:
        """Wait until every gateway says that a worker takes jobs."""
        for url in self.urls:
            wait_until(partial(answers, f"{url}/readyz"), seconds, f"{url} being ready")

    def all_ready(self, seconds: float = 90) -> None:
        """Wait until every worker takes jobs."""
        count = len(self.workers)
        wait_until(lambda: len(self.store.live_workers()) >= count, seconds, f"{count} workers")
        self.ready(seconds)

    def add_gateway(self, **settings: str) -> Process:
        port = free_port()
        given = {"MMML_PORT": str(port), **settings}
        process = self._module("tests.chaos.gateway", len(self.gateways), **given)
        self.gateways.append(process)
        self.urls.append(f"http://127.0.0.1:{port}")
        return process

    def add_worker(self) -> Process:
        process = self._module("tests.chaos.worker", len(self.workers))
        self.workers.append(process)
        return process

    def add_reconciler(self, **settings: str) -> Process:
        process = self._module("tests.chaos.reconciler", len(self.reconcilers), **settings)
        self.reconcilers.append(process)
        return process

    def remove(self, process: Process) -> None:
        """Take an added process away."""
        process.down()
        self.keeper.processes.remove(process)
        for row in (self.gateways, self.workers, self.reconcilers):
            if process in row:
                row.remove(process)

    def tail(self, lines: int = 15) -> str:
        """The ends of all logs, for a fault that was not expected."""
        texts = [(p.name, p.read_text(errors="replace")) for p in sorted(self.logs.iterdir())]
        return "\n".join(f"== {name}\n" + "\n".join(t.splitlines()[-lines:]) for name, t in texts)

    def _module(self, module: str, number: int, **settings: str) -> Process:
        name = f"{module.rpartition('.')[2]}-{number}"
        words = [str(self.strikes.folder)] if module.startswith("tests.") else []
        command = [sys.executable, "-W", "ignore", "-m", module, *words]
        return self.keeper.add(self._process(name, command, settings))

    def _process(
        self, name: str, command: list[str], settings: Mapping[str, str] | None = None
    ) -> Process:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        port = self.proxy.port if self.proxy else self.redis_port
        env |= {
            "OMP_NUM_THREADS": "1",
            "MMML_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "MMML_STORAGE_URL": self.blobs.as_uri(),
            "MMML_WEIGHTS_DIR": str(self.folder / "weights"),
            "MMML_LEASE_TTL": str(LEASE),
            **self._settings,
            **(settings or {}),
        }
        return Process(name, command, env, self.logs / f"{name}.log")

    def _broker_command(self) -> list[str]:
        command = broker_command(self._data, self.folder / "valkey.sock")
        return [*command, "--port", str(self.redis_port), "--bind", "127.0.0.1"]

    def end(self) -> None:
        self.keeper.end()
        if self.proxy:
            self.proxy.stop()
        self.client.close()


@contextmanager
def running(
    folder: Path,
    quick: bool,
    *,
    gateways: int = 1,
    workers: int = 1,
    proxied: bool = False,
    data: Path | None = None,
    **settings: str,
) -> Iterator[Stack]:
    """A service that is ready. ``proxied``: its broker is reached through ``stack.proxy``;
    ``data``: where the broker keeps its file.
    """
    stack = Stack(folder, quick, proxied, data or folder, settings)
    with at_end(stack.end):
        try:
            stack.start(gateways, workers)
        except Exception:
            sys.stdout.write(stack.tail() + "\n")
            raise
        yield stack


def write_bundle(folder: Path) -> None:
    """The JSON files of a bundle without any tensor: all that a gateway reads."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "method": "fake",
        "size": 64,
        "max_words": 12,
        "tokenizer": "regexp",
        "vocabulary": "vocabulary.json",
    }
    raw = {
        "format": 1,
        "name": folder.name,
        "domain": "nothing",
        "licence": "Apache-2.0",
        "tasks": dict.fromkeys(TASKS, spec),
    }
    (folder / "bundle.json").write_text(json.dumps(raw))
    (folder / "vocabulary.json").write_text(json.dumps({"words": list(_WORDS)}))


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
