"""SIGTERM, process by process: nothing that was accepted is lost, nobody's request breaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from jobs.connections import connect
from jobs.redis_store import JobStore
from tests.ports import free_port
from tests.real.conftest import Service

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
Eventually = Callable[[Callable[[], bool], float], None]


class Process:
    """One process of the service, alone on a broker of its own."""

    def __init__(self, module: str, folder: Path, **settings: str) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
        env |= {"MMML_ALIVE_FILE": str(folder / "alive"), **settings}
        self.alive, self.log = folder / "alive", folder / "log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", module]
            self.popen = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def terminate(self) -> float:
        """SIGTERM; returns how many seconds it took."""
        started = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        assert self.popen.wait(60) == 0, self.log.read_text()
        return time.monotonic() - started


@pytest.fixture
def gateway(
    valkey: str, prefix: str, weights: Path, tmp_path: Path, eventually: Eventually
) -> Iterator[tuple[Process, httpx.Client]]:
    port = free_port()
    settings = {
        "MMML_REDIS_URL": valkey,
        "MMML_REDIS_PREFIX": prefix,
        "MMML_WEIGHTS_DIR": str(weights),
        "MMML_STORAGE_URL": (tmp_path / "blobs").as_uri(),
        "MMML_PORT": str(port),
    }
    process = Process("app.gateway", tmp_path, **settings)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as http:

        def answers() -> bool:
            try:
                return http.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, 60)
        yield process, http
    if process.popen.poll() is None:
        process.popen.kill()
        process.popen.wait()


def test_a_waiting_client_gets_its_job_when_the_gateway_ends(
    gateway: tuple[Process, httpx.Client], valkey: str, prefix: str
) -> None:
    process, http = gateway
    store = JobStore(client := connect(valkey), prefix)
    before = store.load().waiting
    with ThreadPoolExecutor(4) as pool:
        waiting: list[Future[httpx.Response]] = [
            pool.submit(http.post, "/synthesize?wait=60", json={"text": "a red bird"})
            for _ in range(4)
        ]
        deadline = time.monotonic() + 30
        while store.load().waiting < before + 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.terminate() < 15  # neither the 60 s asked for nor the grace time
        answers = [future.result() for future in waiting]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert all(answer.headers["connection"] == "close" for answer in answers)
    jobs = [store.get(answer.json()["id"]) for answer in answers]
    assert all(job and job.status == "queued" for job in jobs)
    client.close()


def test_an_upload_that_has_begun_is_taken(gateway: tuple[Process, httpx.Client]) -> None:
    process, http = gateway
    body = json.dumps({"text": "a red bird"}).encode()
    head = f"POST /synthesize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    port = http.base_url.port
    assert port
    with socket.create_connection(("127.0.0.1", port), timeout=60) as upload:
        upload.sendall(head.encode() + body[:5])
        time.sleep(0.5)
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(1)
        with pytest.raises(ConnectionRefusedError):  # new clients go elsewhere
            socket.create_connection(("127.0.0.1", port), timeout=5)
        upload.sendall(body[5:])
        answer = upload.recv(65536)
    assert answer.startswith(b"HTTP/1.1 202")
    assert process.popen.wait(30) == 0


def test_a_request_that_is_on_its_way_is_answered(gateway: tuple[Process, httpx.Client]) -> None:
    """Its connection was made before SIGTERM, and it arrives after."""
    process, http = gateway
    port = http.base_url.port
    assert port
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        time.sleep(0.2)
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = line.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert process.popen.wait(30) == 0


def test_a_reconciler_ends_between_two_rounds(
    valkey: str, prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    own = {"MMML_REDIS_PREFIX": prefix, "MMML_STORAGE_URL": (tmp_path / "blobs").as_uri()}
    process = Process("app.reconciler", tmp_path, MMML_REDIS_URL=valkey, **own)
    eventually(process.alive.exists, 60)
    assert process.terminate() < 10


def test_a_reconciler_without_a_broker_says_so(tmp_path: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    own = {"MMML_REDIS_URL": away, "MMML_STORAGE_URL": (tmp_path / "blobs").as_uri()}
    process = Process("app.reconciler", tmp_path, **own)
    assert process.popen.wait(90) == 1
    assert "Redis does not answer" in process.log.read_text()


@pytest.mark.parametrize("drain", ["30", "0"])
def test_a_worker_finishes_or_hands_back(service: Service, drain: str) -> None:
    """Under load, with a lease far longer than the test may take, so waiting for it would fail;
    no attempt is counted, since nothing crashed.
    """
    service.start(fake=True, MMML_DRAIN=drain, MMML_LEASE_TTL="600", MMML_MAX_BATCH="1")
    service.ready()
    worker = service.pid_of("-m workers")
    jobs = [service.submit("a bird fail:slow=0.1", count=8) for _ in range(24)]
    service.wait_until(lambda: service.http.get("/jobs?status=running").json()["jobs"], 30)
    os.kill(worker, signal.SIGTERM)
    service.all_succeed(jobs, 120)
    assert service.pid_of("-m workers") != worker
    client = connect(f"unix://{service.state_dir}/valkey.sock?db=0")
    store = JobStore(client)
    records = [store.get(job) for job in jobs]
    client.close()
    assert {job.attempts for job in records if job} == {1}
    ran = ("draining: ", "handed back") if drain == "0" else ("draining: ",)
    log = (service.state_dir / "logs" / "worker.log").read_text()
    assert all(text in log for text in ran), log[-3000:]
