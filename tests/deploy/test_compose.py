"""Compose reads the files, and on an engine they serve."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import png
from tests.deploy.conftest import ROOT, compose
from tests.ports import free_port

GPU = ("docker-compose.yml",)
CPU = ("docker-compose.yml", "docker-compose.cpu.yml")

pytestmark = pytest.mark.docker


def config(files: tuple[str, ...], **variables: str) -> dict[str, Any]:
    done = compose("config", "--format", "json", files=files, **variables)
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_compose_accepts_the_gpu_file() -> None:
    services = config(GPU)["services"]
    assert set(services) == {"redis", "gateway", "reconciler", "worker"}
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"capabilities": ["gpu"], "driver": "nvidia", "device_ids": ["0"]}


def test_compose_starts_eight_workers_by_profile() -> None:
    services = config(GPU, COMPOSE_PROFILES="gpus-8")["services"]
    assert len([name for name in services if name.startswith("worker")]) == 8


def test_compose_takes_the_gpu_away() -> None:
    worker = config(CPU)["services"]["worker"]
    assert "deploy" not in worker
    assert worker["environment"]["MMML_DEVICE"] == "cpu"


def test_compose_takes_other_gpus_and_two_gateways() -> None:
    services = config(GPU, GPU_0="GPU-5d", MMML_PORT="8000-8001", GATEWAY_CPUS="1.5")["services"]
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["device_ids"] == ["GPU-5d"]
    (port,) = services["gateway"]["ports"]
    assert (port["published"], port["target"]) == ("8000-8001", 8000)
    assert services["gateway"]["cpus"] == 1.5


class Stack:
    """The CPU stack under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        env = {**os.environ, "MMML_SECRETS": str(folder)}
        subprocess.run(["sh", str(ROOT / "deploy/secrets.sh")], env=env, cwd=folder, check=True)
        self.variables = {
            "MMML_SECRETS": str(folder),
            "COMPOSE_PROJECT_NAME": f"mmml-test-{os.getpid()}",
            "MMML_PORT": str(self.port),
        }
        bearer = {"Authorization": f"Bearer {(folder / 'first_key').read_text()}"}
        base = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=base, headers=bearer, timeout=90)

    def run(self, *arguments: str) -> str:
        return compose(*arguments, files=CPU, **self.variables).stdout

    def states(self) -> dict[str, str]:
        """Health by service."""
        lines = self.run("ps", "--format", "json").splitlines()
        return {c["Service"]: c["Health"] for c in map(json.loads, lines)}

    def wait_until(self, condition: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.run("logs", "--tail", "50")
            time.sleep(0.5)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("secrets"))
    made.run("up", "-d", "--build")
    try:
        yield made
    finally:
        made.run("down", "-v")
        made.http.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)  # the first build installs torch
def test_the_stack_serves_and_survives_its_worker(stack: Stack) -> None:
    healthy = dict.fromkeys(("redis", "gateway", "reconciler", "worker"), "healthy")
    stack.wait_until(lambda: stack.states() == healthy, 240)
    http, photo = stack.http, {"image": png(90, 50)}
    made = [
        http.post("/synthesize?wait=60", json={"text": "a red bird"}),
        http.post("/manipulate?wait=60", data={"text": "a red bird"}, files=photo),
        http.post("/inpaint?wait=60", data={"text": "a bird", "mask": "9,9,30,30"}, files=photo),
    ]
    assert [answer.json()["status"] for answer in made] == ["succeeded"] * 3
    assert http.get(made[0].json()["images"][0]["url"]).content.startswith(b"\x89PNG")

    stack.run("kill", "worker")
    answer = http.post("/synthesize", json={"text": "a red bird"})
    assert answer.status_code == 202
    stack.run("up", "-d")
    job = answer.headers["Location"]
    stack.wait_until(lambda: http.get(f"{job}?wait=5").json()["status"] == "succeeded", 120)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_gateways_container_holds_neither_torch_nor_rights(stack: Stack) -> None:
    code = "from importlib.util import find_spec as f; print(*map(f, ('torch', 'numpy', 'models')))"
    assert stack.run("exec", "-T", "gateway", "python", "-c", code).strip() == "None None None"
    for service in ("gateway", "reconciler", "worker"):
        assert stack.run("exec", "-T", service, "id", "-u").strip() == "10001"
    assert stack.run("exec", "-T", "redis", "id", "-un").strip() == "redis"
    write = "touch /probe 2>/dev/null || echo refused"
    assert stack.run("exec", "-T", "gateway", "sh", "-c", write).strip() == "refused"
