"""A gateway as it stands on the internet, with API keys, a real Valkey and no worker, for clients
that mean it harm.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from app.embedded import broker_command, wait_for_socket
from app.keys import RedisKeyStore, default_scopes, new_text, record
from jobs.blobs import BlobStore
from jobs.images import encode
from jobs.job import ImageRecord
from jobs.redis_store import RedisJobStore, connect
from jobs.store import Outcome
from tests.conftest import write_paper_bundle
from tests.picture_files import photo

_START = 60.0  # seconds
_MEMORY = 512 * 2**20  # of the broker


class Target:
    """The running gateway. ``mine`` and ``theirs`` are keys of different owners; ``count``: how
    often something is tried.
    """

    count = 1

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder, self.process, self.port = folder, process, port
        self.url = f"http://127.0.0.1:{port}"
        client = connect(f"unix://{folder}/v.sock?db=0")
        self.store = RedisJobStore(client)
        self.blobs = BlobStore.at(f"file://{folder}/blobs")
        self.keys = RedisKeyStore(client)
        self.mine, self.theirs = self._key("mine"), self._key("theirs")
        self.http = self.client(self.mine)

    def _key(self, name: str) -> str:
        text = new_text()
        self.keys.add(record(text, name, default_scopes()))
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

    def finish(self, job: str) -> None:
        """Do what a worker does."""
        started = self.store.start(job, "t", 60)
        assert started
        place = f"jobs/{job}/t-0.png"
        self.blobs.put(place, encode(photo()))
        image = ImageRecord(index=0, seed=0, width=40, height=30, sha256="0" * 64, blob=place)
        assert self.store.finish(job, "t", Outcome([image]))

    def alive(self) -> bool:
        return self.process.poll() is None

    def memory(self) -> int:
        """Resident bytes."""
        return self._status("VmRSS") * 1024

    def peak(self) -> int:
        """The most there ever were since :meth:`forget_peak`."""
        return self._status("VmHWM") * 1024

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
def opened(settings: dict[str, str] | None = None) -> Iterator[Target]:
    """A target in a folder of its own. ``settings``: names without ``MMML_``."""
    with tempfile.TemporaryDirectory(prefix="mmml-") as name:  # short: sockets have short paths
        folder = Path(name)
        write_paper_bundle(folder / "weights" / "paper")
        with (folder / "gateway.log").open("wb") as log, _broker(folder):
            port = _free_port()
            process = _gateway(folder, port, settings or {}, log)
            try:
                _until_it_answers(process, port, folder)
                target = Target(folder, process, port)
                yield target
                target.http.close()
            finally:
                process.terminate()
                process.wait(60)


@contextmanager
def _broker(folder: Path) -> Iterator[None]:
    command = broker_command(folder, folder / "v.sock", _MEMORY)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=_end_with_us)
    try:
        wait_for_socket(folder / "v.sock")
        yield
    finally:
        process.terminate()
        process.wait(30)


def _gateway(
    folder: Path, port: int, settings: dict[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    given = {
        "REDIS_URL": f"unix://{folder}/v.sock?db=0",
        "STORAGE_URL": f"file://{folder}/blobs",
        "WEIGHTS_DIR": str(folder / "weights"),
        "PORT": str(port),
        "REQUIRE_KEYS": "true",
        "FIRST_KEY": new_text(),
        **settings,
    }
    env |= {f"MMML_{name}": value for name, value in given.items()}
    command = [sys.executable, "-m", "app.gateway"]
    return subprocess.Popen(command, env=env, stdout=log, stderr=log, preexec_fn=_end_with_us)


def _end_with_us() -> None:
    """Have Linux kill this child when the suite is gone, however it ended."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _until_it_answers(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + _START
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz")
        except httpx.TransportError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "gateway.log").read_text(errors="replace")
                raise RuntimeError(f"the gateway did not start:\n{log}") from error
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
