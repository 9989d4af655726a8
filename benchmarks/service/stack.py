"""Starts the service's processes and says what they cost."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from app.local.broker import broker_command, wait_for_socket
from benchmarks.peers.pipelines import Subject, write_weights
from jobs.connections import connect
from jobs.redis_store import JobStore
from tests.chaos.processes import NeverTrue, Process, at_end, wait_until
from tests.chaos.stack import answers
from tests.ports import free_port

_TICK = os.sysconf("SC_CLK_TCK")
_MEMORY = 2 * 2**30  # bytes of the broker, so that it never refuses what is measured
_START, _END = 300.0, 5.0  # seconds to become ready, and to end
_CONCURRENCY = 16  # what a worker has by default; two batches where these are more


class Service:
    """``mmml serve`` without its supervisor: the same programs with the same private broker.
    ``workers`` take threads for two batches: one runs, one is read or stored meanwhile.
    """

    def __init__(self, folder: Path, subject: Subject, workers: int = 1, **settings: str) -> None:
        self.folder, self.subject, self.count = folder, subject, workers
        self.url = f"http://127.0.0.1:{free_port()}"
        self.processes: dict[str, Process] = {}
        self._socket = folder / "v.sock"
        self.redis_url = f"unix://{self._socket}?db=0"
        self._settings = settings
        (folder / "logs").mkdir(parents=True)
        write_weights(folder / "weights", subject)

    def start(self) -> None:
        self.start_broker()
        self._module("reconciler", "app.reconciler")
        self._module("gateway", "app.gateway")
        sleeping = self.subject.sleeps is not None
        words = ["benchmarks.service.worker", self.subject.name] if sleeping else ["workers"]
        for number in range(self.count):
            self._module(f"worker-{number}", *words)
        self._wait_until_ready()

    def start_broker(self) -> None:
        self._start("broker", broker_command(self.folder, self._socket, _MEMORY))
        wait_for_socket(self._socket)

    def _wait_until_ready(self) -> None:
        """Until all workers take jobs, and the gateway knows it."""
        client = connect(self.redis_url)
        store, count = JobStore(client), self.count
        wait_until(lambda: len(store.live_workers()) >= count, _START, f"{count} workers ready")
        wait_until(partial(answers, f"{self.url}/readyz"), _START, "the gateway being ready")
        client.close()

    def end(self) -> None:
        """Politely, the worker first: it drains while the broker still answers."""
        for process in reversed(self.processes.values()):
            with suppress(NeverTrue):
                process.terminate(_END)
            process.down()

    def costs(self) -> dict[str, float]:
        """Processor seconds that each kind of process has used."""
        used: dict[str, float] = {}
        for name, process in self.processes.items():
            kind = name.partition("-")[0]
            used[kind] = used.get(kind, 0.0) + cpu_seconds(process.pid)
        return used

    def _module(self, name: str, module: str, *words: str) -> None:
        self._start(name, [sys.executable, "-W", "ignore", "-m", module, *words])

    def _start(self, name: str, command: Sequence[str]) -> None:
        log = self.folder / "logs" / f"{name}.log"
        process = Process(name, command, self._environment(), log)
        self.processes[name] = process
        process.start()

    def _environment(self) -> Mapping[str, str]:
        plain = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        batch = self.subject.batch
        return plain | {
            "OMP_NUM_THREADS": "1",
            "MMML_PORT": self.url.rpartition(":")[2],
            "MMML_REDIS_URL": self.redis_url,
            "MMML_STORAGE_URL": (self.folder / "blobs").as_uri(),
            "MMML_WEIGHTS_DIR": str(self.folder / "weights"),
            "MMML_THREADS": "1",
            "MMML_MAX_BATCH": str(batch),
            "MMML_CONCURRENCY": str(max(2 * batch, _CONCURRENCY)),
            "MMML_MAX_QUEUE": "1000000",
            **self._settings,
        }


@contextmanager
def running(folder: Path, subject: Subject, workers: int = 1, **settings: str) -> Iterator[Service]:
    """The service, ready, until the end of the block. ``settings``: more environment variables."""
    service = Service(folder, subject, workers, **settings)
    with at_end(service.end):
        service.start()
        yield service


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and everything that it started; 0 for one that is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    own = (int(after_name[11]) + int(after_name[12])) / _TICK
    return own + sum(cpu_seconds(int(child)) for child in started)
