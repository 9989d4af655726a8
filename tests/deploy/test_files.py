"""What the Compose files and the Dockerfile promise, read from them without any engine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from app.settings import GatewaySettings
from tests.deploy.conftest import ROOT, compose_file
from workers.settings import WorkerSettings

MAIN = compose_file("docker-compose.yml")
CPU = compose_file("docker-compose.cpu.yml")
SERVICES: dict[str, dict[str, Any]] = MAIN["services"]
WORKERS = [name for name in SERVICES if name.startswith("worker")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def stage(name: str) -> str:
    """The lines of one stage."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    assert found, name
    return found[1]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_process_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert service["pids_limit"] <= 1024
    assert service["mem_limit"]
    assert "cap_add" not in service
    assert "privileged" not in service


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_process_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    target = service.get("build", {}).get("target")
    assert "healthcheck" in service or "HEALTHCHECK" in stage(target)


@pytest.mark.parametrize("target", ["gateway", "worker", "redis"])
def test_no_image_runs_as_root(target: str) -> None:
    users = re.findall(r"^USER (\S+)$", stage(target), re.M)
    assert users
    assert users[-1] in ("10001:10001", "redis")


def test_what_is_published_is_on_loopback() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert published == {
        "gateway": ["${MMML_BIND:-127.0.0.1}:${MMML_PORT:-8000}:8000"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }


def test_secrets_come_from_the_environment_only() -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert example["REDIS_PASSWORD"] == ""
    assert example["MMML_FIRST_KEY"] == ""
    assert not re.search(r"^(ARG|ENV) .*(PASSWORD|KEY|TOKEN|SECRET)", DOCKERFILE, re.M)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "/storage.env"} <= set(ignored)
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in context
    assert not any(line.startswith("!.env") or "storage" in line for line in context)


def test_only_the_gateway_gets_the_first_key() -> None:
    holders = [n for n, s in SERVICES.items() if "MMML_FIRST_KEY" in s["environment"]]
    assert holders == ["gateway"]


def test_redis_keeps_what_it_accepted() -> None:
    lines = (ROOT / "deploy/redis.conf").read_text().splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "dir /data"} <= set(lines)
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert "requirepass" in stage("redis")


def test_one_worker_per_gpu() -> None:
    devices = {}
    for name in WORKERS:
        (device,) = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert SERVICES[name]["environment"]["MMML_DEVICE"] == "cuda"
        devices[name] = device["device_ids"]
    expected = {"worker": ["0"]} | {f"worker-{n}": [str(n)] for n in range(1, 8)}
    assert devices == expected


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_profile_starts_as_many_workers_as_it_says(count: int) -> None:
    started = [n for n in WORKERS if f"gpus-{count}" in SERVICES[n].get("profiles", [])]
    assert len(started) + 1 == count
    assert "profiles" not in SERVICES["worker"]


def test_the_override_takes_the_gpu_away() -> None:
    assert CPU == {"services": {"worker": {"environment": {"MMML_DEVICE": "cpu"}, "deploy": None}}}


def test_every_setting_exists() -> None:
    known = {f"MMML_{name.upper()}" for name in GatewaySettings.model_fields}
    known |= {f"MMML_{name.upper()}" for name in WorkerSettings.model_fields}
    known |= {"MMML_FIRST_KEY"}
    for service in SERVICES.values():
        used = {name for name in service["environment"] if name.startswith("MMML_")}
        assert used <= known


@pytest.mark.parametrize("name", ["gateway", "reconciler", *WORKERS])
def test_engines_wait_longer_than_the_processes_drain(name: str) -> None:
    service = SERVICES[name]
    grace = float(
        service["environment"].get("MMML_DRAIN", service["environment"].get("MMML_GRACE", 0))
    )
    assert float(service["stop_grace_period"].removesuffix("s")) >= grace + 10


def test_the_gateway_image_asks_for_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    script = [sys.executable, str(ROOT / "deploy/requirements.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == project["dependencies"]
    assert "torch" not in done.stdout
    more = subprocess.run([*script, "worker"], capture_output=True, text=True, check=True)
    assert more.stdout.splitlines() == project["optional-dependencies"]["worker"]
    client = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]
    command = subprocess.run([*script, "client"], capture_output=True, text=True, check=True)
    assert command.stdout.splitlines() == client["dependencies"]


def test_the_build_stays_with_the_classic_builder() -> None:
    assert "--mount" not in DOCKERFILE
    assert "<<" not in DOCKERFILE
    assert "# syntax" not in DOCKERFILE


def test_redis_has_a_limit_below_that_of_its_container() -> None:
    assert "maxmemory %s" in stage("redis")
    assert SERVICES["redis"]["environment"]["REDIS_MEMORY"] == "${REDIS_MEMORY:-512mb}"
    assert SERVICES["redis"]["mem_limit"] == "${REDIS_MEM_LIMIT:-1280m}"
