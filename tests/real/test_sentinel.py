"""A Redis whose master dies under load: Sentinels name another one, and no accepted job is lost."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from jobs.job import new_id
from tests.chaos.processes import NeverTrue, wait_until
from tests.real.fleet import Fleet, ends
from tests.real.redis_servers import (
    Watched,
    make_certificates,
    plain_server,
    tls_server,
    watched,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]
_CLIENTS = 4
_PAUSE = 0.05  # seconds
_BEFORE = 40  # jobs


@pytest.fixture(params=["plain", "tls"])
def redises(request: pytest.FixtureRequest) -> Iterator[Watched]:
    with tempfile.TemporaryDirectory(prefix="mmml-") as made:
        tls, folder = request.param == "tls", Path(made)
        program = tls_server() if tls else plain_server()
        if tls:
            make_certificates(folder)
        with watched(folder, program, tls) as found:
            yield found


class Load:
    """Clients that repeat what was refused, under its Idempotency-Key."""

    def __init__(self, url: str) -> None:
        self.accepted: dict[str, float] = {}  # job → when
        self.refused: list[int] = []
        self._url, self._stop = url, threading.Event()

    def client(self) -> None:
        with httpx.Client(timeout=30) as http:
            while not self._stop.is_set():
                key = {"Idempotency-Key": new_id()}
                while not self._submit(http, key) and not self._stop.is_set():
                    time.sleep(4 * _PAUSE)
                time.sleep(_PAUSE)

    def _submit(self, http: httpx.Client, key: dict[str, str]) -> bool:
        answer = http.post(f"{self._url}/synthesize", json={"text": "a red bird"}, headers=key)
        if answer.status_code in (200, 202):
            self.accepted[answer.json()["id"]] = time.monotonic()
            return True
        self.refused.append(answer.status_code)
        return False

    def stop(self) -> None:
        self._stop.set()


def test_a_failover_under_load_loses_no_accepted_job(redises: Watched, tmp_path: Path) -> None:
    fleet = Fleet(redises.url, "mmml:", tmp_path)
    fleet.start("app.reconciler")
    fleet.worker()
    _, url = fleet.gateway(MMML_REDIS_REPLICAS="1", MMML_RATE_SUBMIT="100000/minute")
    load = Load(url)
    try:
        with ThreadPoolExecutor(_CLIENTS) as pool:
            running = [pool.submit(load.client) for _ in range(_CLIENTS)]
            wait_until(lambda: len(load.accepted) > _BEFORE, 120, "jobs before the failover")
            before = redises.kill_master()
            killed = time.monotonic()
            later = killed + 1  # by then nothing is answered that was asked before
            wait_until(lambda: max(load.accepted.values()) > later, 120, "a job after the failover")
            time.sleep(2)
            load.stop()
            for each in running:
                each.result(30)
        assert redises.master_port() != before
        assert set(load.refused) <= {503}, load.refused
        assert ends(url, list(load.accepted)) == ["succeeded"] * len(load.accepted)
    except NeverTrue as error:
        raise AssertionError(fleet.logs()) from error
    finally:
        load.stop()
        fleet.end()


def test_without_the_replicas_that_are_asked_for_no_job_is_accepted(
    redises: Watched, tmp_path: Path
) -> None:
    fleet = Fleet(redises.url, "mmml:", tmp_path)
    try:
        _, url = fleet.gateway(MMML_REDIS_REPLICAS="3")
        answer = httpx.post(f"{url}/synthesize", json={"text": "a red bird"}, timeout=30)
        assert answer.status_code == 503
        assert "2 of 3 replicas of Redis follow" in fleet.logs()
    finally:
        fleet.end()
