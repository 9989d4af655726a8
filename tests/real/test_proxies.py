"""Two gateways behind nginx and Caddy as ``deploy/`` configures them, at the root and below a path:
addresses lead back, events are not held up, and nothing breaks while the gateways are restarted.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from jobs.job import new_id
from mmml import Client
from tests.chaos.processes import ROOT, Process, wait_until
from tests.chaos.stack import answers
from tests.ports import free_port
from tests.real.fleet import Fleet, fleet, submit

pytestmark = [pytest.mark.real, pytest.mark.slow]
__all__ = ["fleet"]  # a fixture
_NGINX = "user root;\nworker_processes 1;\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\n" + (
    "http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n"
    "include {0}/mmml.conf; }}\n"
)


class Proxied:
    """A proxy before two gateways, which have the ports of its configuration."""

    def __init__(self, fleet: Fleet, kind: str, root: str) -> None:
        self.fleet, self.kind, self.root = fleet, kind, root
        self.port, self.ports = free_port(), (free_port(), free_port())
        self.url = f"http://127.0.0.1:{self.port}{root}"
        fleet.worker()
        fleet.start("app.reconciler", MMML_ROOT_PATH=root)
        self.gateways = [self._gateway(port) for port in self.ports]
        command = {"nginx": self._nginx, "caddy": self._caddy}[kind](str(shutil.which(kind)))
        env = {"HOME": str(fleet.folder), "PATH": "/usr/bin:/bin"}
        log = fleet.folder / f"{kind}.log"
        self._proxy = Process(kind, command, env, log, fleet.folder, grouped=True)
        self._proxy.start()
        fleet.processes.append(self._proxy)
        wait_until(lambda: answers(f"{self.url}/readyz"), 30, fleet.logs())

    def _gateway(self, port: int) -> Process:
        return self.fleet.gateway(MMML_PORT=str(port), MMML_ROOT_PATH=self.root)[0]

    def restart_gateways(self) -> None:
        """One after the other."""
        for place, port in enumerate(self.ports):
            assert self.gateways[place].terminate(40) == 0
            self.gateways[place] = self._gateway(port)

    def _configuration(self, name: str) -> str:
        text = (ROOT / "deploy" / name).read_text()
        for old, new in zip((8080, 8000, 8001), (self.port, *self.ports), strict=True):
            text = re.sub(rf"(?<=[: ]){old}\b", str(new), text)
        return text

    def _nginx(self, program: str) -> list[str]:
        folder = self.fleet.folder
        text = self._configuration("nginx.conf")
        if self.root:
            text = text.replace("location / {", f"location {self.root}/ {{")
        (folder / "mmml.conf").write_text(text)
        (folder / "nginx.conf").write_text(_NGINX.format(folder))
        return [program, "-p", str(folder), "-c", "nginx.conf", "-g", "daemon off;"]

    def _caddy(self, program: str) -> list[str]:
        text = self._configuration("Caddyfile")
        if self.root:
            text = text.replace("reverse_proxy 127", f"reverse_proxy {self.root}/* 127")
        file = self.fleet.folder / "Caddyfile"
        file.write_text("{\n\tadmin off\n}\n" + text)
        return [program, "run", "--config", str(file), "--adapter", "caddyfile"]


@pytest.fixture(params=["nginx", "caddy"])
def proxied(fleet: Fleet, request: pytest.FixtureRequest) -> Callable[[str], Proxied]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (apt-get install {request.param})")
    return lambda root: Proxied(fleet, request.param, root)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as made:
        yield made


def test_every_address_leads_back(proxied: Callable[[str], Proxied], http: httpx.Client) -> None:
    proxy = proxied("/images")
    answer = http.post(f"{proxy.url}/synthesize?wait=30", json={"text": "a red bird"})
    job = answer.json()
    assert answer.headers["location"] == f"/images/jobs/{job['id']}"
    named = [answer.headers["location"], job["images"][0]["url"], job["links"]["self"]]
    submit(proxy.url)
    listed = http.get(f"{proxy.url}/jobs?limit=1").json()
    named += [listed["next"], listed["jobs"][0]["links"]["events"]]
    named.append(http.get(f"{proxy.url}/models").json()["bundles"][0]["vocabulary"])
    wanted = {"prompt": "a red bird", "response_format": "url"}
    generated = http.post(f"{proxy.url}/v1/images/generations", json=wanted)
    named.append(generated.json()["data"][0]["url"])
    for page in ("/", "/docs"):
        text = http.get(f"{proxy.url}{page}", headers={"accept": "text/html"}).text
        found = re.findall(r'(?:href|src)="(/[^"#]*)', text)
        assert len(found) > 2, text
        named += found
    for address in named:
        found_at = urljoin(proxy.url, address)
        assert urlsplit(found_at).path.startswith("/images/"), address
        assert http.get(found_at).status_code == 200, address
    assert http.get(f"{proxy.url}/openapi.json").json()["servers"] == [{"url": "/images"}]
    again = {"text": "a blue bird", "image": job["images"][0]["url"]}
    assert http.post(f"{proxy.url}/manipulate", json=again).status_code == 202
    with Client(proxy.url) as client:
        made = client.synthesize("a red bird", count=2).wait()
        assert len(made.images) == 2
        assert len(client.jobs(limit=3)) == 3


def test_events_leave_as_they_come(proxied: Callable[[str], Proxied]) -> None:
    proxy = proxied("")
    job, began = submit(proxy.url, text="a red bird fail:slow=3"), time.monotonic()
    with httpx.stream("GET", f"{proxy.url}/jobs/{job}/events", timeout=30) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("event: status"))
        assert time.monotonic() - began < 2
        assert any(line.startswith("event: final") for line in lines)
        assert time.monotonic() - began > 2.5


class Polls:
    """Clients that submit jobs and poll them, with and without waiting, until they are stopped. A
    submission is repeated under its Idempotency-Key, a poll is not.
    """

    def __init__(self, url: str) -> None:
        self.url, self.count, self.repeated, self.broken = url, 0, 0, list[str]()
        self._stop = threading.Event()

    def __enter__(self) -> Polls:
        self._pool = ThreadPoolExecutor(4)
        for number in range(4):
            self._pool.submit(self._run, number)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def _run(self, number: int) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as http:
            while not self._stop.is_set():
                try:
                    self._one(http, wait=number % 3)
                except Exception as error:
                    self.broken.append(repr(error))

    def _one(self, http: httpx.Client, wait: int) -> None:
        path, status = f"/jobs/{self._submit(http)}", ""
        while status != "succeeded":
            status = http.get(path, params={"wait": wait}).raise_for_status().json()["status"]
            self.count += 1
            time.sleep(0.05)

    def _submit(self, http: httpx.Client) -> str:
        key = {"Idempotency-Key": new_id()}
        while True:
            answer = http.post("/synthesize", json={"text": "a red bird"}, headers=key)
            if answer.status_code < 300:
                return str(answer.json()["id"])
            assert answer.status_code in (502, 503), answer.text
            self.repeated += 1
            time.sleep(0.1)


def test_no_poll_breaks_in_a_rolling_restart(proxied: Callable[[str], Proxied]) -> None:
    proxy = proxied("")
    with Polls(proxy.url) as polls:
        time.sleep(1)
        proxy.restart_gateways()
        time.sleep(1)
    assert polls.count > 100
    assert polls.broken == []
    # nginx asks the next gateway for what none has taken; Caddy's checks need half a second.
    assert polls.repeated <= {"nginx": 0, "caddy": polls.count // 10}[proxy.kind]
