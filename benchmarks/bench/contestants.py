"""Who takes part: processes that are ready before anything is timed, and give the same pictures."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np
from PIL import Image

from benchmarks.load import Report, loaded
from benchmarks.load.exchanges import fields
from benchmarks.peers.pipelines import Subject, write_weights
from benchmarks.service.stack import Service, cpu_seconds, running
from jobs.connections import connect
from jobs.redis_store import JobStore
from tests.chaos.processes import Process, at_end, wait_until
from tests.ports import free_port

_START = 300.0  # seconds, for a program that loads torch on a busy machine
_DRAIN = 300.0  # seconds
_INSTALL = "what it needs: pip install -r benchmarks/peers/requirements.txt"
_ROUNDING = 2  # of 255: whether a picture is alone in its batch


class Contestant(Protocol):
    """``closed``: pictures with so many clients. Servers also have ``open``: with so many jobs a
    second offered, which nobody can do to a loop.
    """

    def closed(self, clients: int, seconds: float, warm: float) -> Report: ...

    def costs(self) -> dict[str, float]:
        """Processor seconds used so far, by kind of process."""
        ...


class Raw:
    """No server: the loop in one process on one core."""

    def __init__(self, process: subprocess.Popen[str], subject: Subject) -> None:
        self._process, self._subject = process, subject

    def closed(self, clients: int, seconds: float, warm: float) -> Report:  # noqa: ARG002
        """In batches, or picture by picture where that is faster."""
        sizes = dict.fromkeys((1, self._subject.batch))
        rate = max(self._rate(seconds / len(sizes), size) for size in sizes)
        return Report(rate, 1000 / rate, 1000 / rate, 1000 / rate, round(rate * seconds), 0)

    def costs(self) -> dict[str, float]:
        return {}  # all its time is the pictures'

    def _rate(self, seconds: float, batch: int) -> float:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{seconds} {batch}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


class Peer:
    """A server of :mod:`benchmarks.peers`. Once ready it stands still while nobody asks it: idle
    workers of LitServe poll, for a tenth of a core that the others would lack.
    """

    def __init__(self, name: str, process: Process, url: str, exchange: str = "predict") -> None:
        self._name, self._process, self.url, self._exchange = name, process, url, exchange

    def closed(self, clients: int, seconds: float, warm: float) -> Report:
        with self._awake():
            return loaded(self.url, self._exchange, clients=clients, seconds=seconds, warm=warm)

    def open(self, offered: float, seconds: float, warm: float) -> Report:
        with self._awake():
            return loaded(self.url, self._exchange, offered=offered, seconds=seconds, warm=warm)

    @contextmanager
    def _awake(self) -> Iterator[None]:
        self._process.send_all(signal.SIGCONT)
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        self._process.send_all(signal.SIGSTOP)

    def costs(self) -> dict[str, float]:
        return {self._name: cpu_seconds(self._process.pid)}

    def picture(self) -> bytes:
        with self._awake():
            return _asked(f"{self.url}/predict")

    def answers(self) -> bool:
        """Whether it gives a picture. Raises RuntimeError when it has ended."""
        process = self._process
        if process.popen and process.popen.poll() is not None:
            log = process.log.read_text(errors="replace")[-1000:]
            raise RuntimeError(f"{process.name} has ended ({_INSTALL}):\n{log}")
        try:
            return bool(_asked(f"{self.url}/predict"))
        except httpx.HTTPError:
            return False


class Served:
    """The service; a client asks by ``exchange``."""

    def __init__(self, service: Service, exchange: str) -> None:
        self.service, self._exchange = service, exchange

    def closed(self, clients: int, seconds: float, warm: float) -> Report:
        url = self.service.url
        return loaded(url, self._exchange, clients=clients, seconds=seconds, warm=warm)

    def open(self, offered: float, seconds: float, warm: float) -> Report:
        url = self.service.url
        found = loaded(url, self._exchange, offered=offered, seconds=seconds, warm=warm)
        self.wait_until_idle()
        return found

    def costs(self) -> dict[str, float]:
        return self.service.costs()

    def picture(self) -> bytes:
        return _asked(f"{self.service.url}/synthesize?wait=60")

    def wait_until_idle(self) -> None:
        """Wait until no job of earlier clients is left."""
        client = connect(self.service.redis_url)
        store = JobStore(client)
        wait_until(lambda: not store.load().unfinished, _DRAIN, "the end of all jobs")
        client.close()


@contextmanager
def raw(folder: Path, subject: Subject) -> Iterator[Contestant]:
    command = [*_module("raw_loop"), subject.name, str(folder), "0"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
    )
    with at_end(process.kill):
        yield Raw(process, subject)
        process.communicate()


@contextmanager
def peer(
    folder: Path, subject: Subject, name: str, exchange: str = "predict", **settings: str
) -> Iterator[Peer]:
    """A ``…_server`` of :mod:`benchmarks.peers`; settings: more environment variables."""
    port = free_port()
    command = [*_module(f"{name}_server"), subject.name, str(folder), str(port)]
    log = folder.parent / f"{subject.name}-{name}.log"
    process = Process(name, command, {**_environment(), **settings}, log, grouped=True)
    with at_end(process.down):
        process.start()
        found = Peer(name, process, f"http://127.0.0.1:{port}", exchange)
        wait_until(found.answers, _START, f"{name} being ready (see {log})")
        found.rest()
        yield found


NAMES = ("raw", "service", "poll", "litserve", "fastapi", "flask")


@contextmanager
def contestants(
    folder: Path, subject: Subject, names: tuple[str, ...] = NAMES
) -> Iterator[dict[str, Contestant]]:
    """Those named, ready, and giving the same picture. ``service`` asks by one request that waits,
    ``poll`` by three; ``echo`` is plain FastAPI, without the pipeline.
    """
    weights = write_weights(folder / f"{subject.name}-weights", subject)
    found: dict[str, Contestant] = {}
    with ExitStack() as stack:
        if {"service", "poll"} & set(names):
            service = stack.enter_context(running(folder / f"{subject.name}-service", subject))
            served: dict[str, Contestant] = {
                "service": Served(service, "wait"),
                "poll": Served(service, "poll"),
            }
        for name in names:
            if name in ("service", "poll"):
                found[name] = served[name]
            elif name == "raw":
                found[name] = stack.enter_context(raw(weights, subject))
            elif name == "echo":
                found[name] = stack.enter_context(peer(weights, subject, "fastapi", "echo"))
            else:
                found[name] = stack.enter_context(peer(weights, subject, name))
        _check_same([c.picture() for c in found.values() if isinstance(c, Peer | Served)])
        yield found


def _check_same(pictures: Sequence[bytes]) -> None:
    """All servers answer the same request with the same picture, up to rounding."""
    first, *others = (np.asarray(Image.open(io.BytesIO(data)), np.int16) for data in pictures)
    for other in others:
        if other.shape != first.shape or np.abs(other - first).max() > _ROUNDING:
            raise RuntimeError("the servers do not make the same picture; nothing is compared")


def _asked(url: str) -> bytes:
    answer = httpx.post(url, json=fields(1), headers={"Accept": "image/png"}, timeout=60)
    return answer.raise_for_status().content


def _module(name: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", f"benchmarks.peers.{name}"]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}
