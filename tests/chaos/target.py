"""A gateway as it stands on the internet, with API keys, a real Valkey and no worker, for clients
that mean it harm; and one without keys.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from app.gateway.api_keys import KeyStore, default_scopes, generate_key, new_api_key
from app.local.broker import broker_command, wait_for_socket
from jobs.blobs import BlobStore
from jobs.connections import connect
from jobs.images import encode
from jobs.job import ImageRecord, new_id
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest, JobOutcome
from tests.chaos.processes import Process, at_end, wait_until
from tests.chaos.stack import answers
from tests.conftest import write_paper_bundle
from tests.picture_files import photo
from tests.ports import free_port

_START = 60.0  # seconds
_MEMORY = 512 * 2**20  # of the broker


class Target:
    """The running gateway. ``mine`` and ``theirs`` are keys of different owners, or empty where
    there are none; ``count``: how often something is tried.
    """

    count = 1

    def __init__(self, folder: Path, process: Process, port: int, keyed: bool = True) -> None:
        self.folder, self.process, self.port = folder, process, port
        self.url = f"http://127.0.0.1:{port}"
        client = connect(f"unix://{folder}/v.sock?db=0")
        self.store = JobStore(client)
        self.blobs = BlobStore.from_url(f"file://{folder}/blobs")
        self.keys = KeyStore(client)
        self.mine, self.theirs = (
            self.add_key(name) if keyed else "" for name in ("mine", "theirs")
        )
        self.http = self.client(self.mine)

    def add_key(self, name: str) -> str:
        """The key, of an owner of its own."""
        text = generate_key()
        self.keys.add(new_api_key(text, name, default_scopes()))
        return text

    def client(self, key: str, timeout: float = 60.0) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def a_job(self, key: str, finished: bool = False) -> str:
        """A job of that key, on demand with a picture."""
        with self.client(key) as http:
            answer = http.post("/synthesize", json={"text": "a red bird"})
        job = str(answer.raise_for_status().json()["id"])
        if finished:
            self.finish(job)
        return job

    def finish(self, job: str, data: bytes | None = None, size: tuple[int, int] = (40, 30)) -> None:
        """Do what a worker does; ``data``: the picture, of that size."""
        found = self.store.claim(new_id(), ClaimRequest(jobs=1000, pictures=1000), 60).jobs
        (token,) = (c.token for c in found if c.job.id == job)
        others = [(c.job.id, c.token) for c in found if c.job.id != job]
        if others:
            self.store.release_all(others)
        self.store.begin_all([(job, token)])
        place = f"jobs/{job}/t-0.png"
        self.blobs.put(place, data or encode(photo(*size)))
        image = ImageRecord(
            index=0, seed=0, width=size[0], height=size[1], sha256="0" * 64, blob=place
        )
        assert self.store.finish_all([(job, token, JobOutcome([image]))]) == [True]

    def alive(self) -> bool:
        return self.process.alive

    def memory(self) -> int:
        """Resident bytes."""
        return self._status("VmRSS") * 1024

    def peak(self) -> int:
        """The most there ever were since :meth:`forget_peak`."""
        return self._status("VmHWM") * 1024

    def busy_seconds(self) -> float:
        """Of a processor's time, since the start."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def connections(self) -> int:
        """Connections of clients that the gateway still holds."""
        port, held = f":{self.port:04X}", ("01", "08")  # established, left by the client
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(port) and row[3] in held for row in rows)

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(dict(line.split(":", 1) for line in lines)[name].split()[0])

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text(errors="replace")


@contextmanager
def opened(settings: dict[str, str] | None = None, keyed: bool = True) -> Iterator[Target]:
    """A target in a folder of its own. ``settings``: names without ``MMML_``; ``keyed``: it has
    keys.
    """
    with tempfile.TemporaryDirectory(prefix="mmml-") as name:  # short: sockets have short paths
        folder = Path(name)
        write_paper_bundle(folder / "weights" / "paper")
        broker = _process(folder, "broker", broker_command(folder, folder / "v.sock", _MEMORY))
        port = free_port()
        gateway = _process(folder, "gateway", [sys.executable, "-m", "app.gateway"])
        gateway.env = {**gateway.env, **_settings(folder, port, keyed, settings or {})}
        with at_end(broker.down):
            broker.start()
            wait_for_socket(folder / "v.sock")
            with at_end(gateway.down):
                gateway.start()
                wait_until(partial(_answers, gateway, port), _START, f"{gateway.log} answering")
                target = Target(folder, gateway, port, keyed)
                yield target
                target.http.close()
                gateway.terminate(60)


def _process(folder: Path, name: str, command: Sequence[str]) -> Process:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    return Process(name, command, env, folder / f"{name}.log")


def _settings(folder: Path, port: int, keyed: bool, more: dict[str, str]) -> dict[str, str]:
    keys = {"REQUIRE_KEYS": "true", "FIRST_KEY": generate_key()} if keyed else {}
    given = {
        "REDIS_URL": f"unix://{folder}/v.sock?db=0",
        "STORAGE_URL": f"file://{folder}/blobs",
        "WEIGHTS_DIR": str(folder / "weights"),
        "PORT": str(port),
        **keys,
        **more,
    }
    return {f"MMML_{name}": value for name, value in given.items()}


def _answers(gateway: Process, port: int) -> bool:
    """Raises RuntimeError when it has ended."""
    if not gateway.alive:
        raise RuntimeError(f"the gateway did not start:\n{gateway.log.read_text(errors='replace')}")
    return answers(f"http://127.0.0.1:{port}/healthz")
