"""What the Compose files and the Dockerfile promise, read from them without any engine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
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


def test_secrets_are_files_that_nothing_takes_along() -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert not any(re.search("PASSWORD|KEY|TOKEN", name) for name in example)
    # Compose can't write a secret of another kind into a container that is read-only.
    assert all(set(s) == {"file"} for s in MAIN["secrets"].values())
    assert not re.search(r"^(ARG|ENV) .*(PASSWORD|KEY|TOKEN|SECRET)", DOCKERFILE, re.M)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", "/storage.env", "/secrets/"} <= set(ignored)
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in context
    assert not any(re.match(r"!.*(\.env|storage|secrets)", line) for line in context)


def _make_secrets(folder: Path) -> dict[str, str]:
    script = ["sh", str(ROOT / "deploy/secrets.sh")]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "The first API key is in secrets/first_key.\n"
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    made = list((folder / "secrets").iterdir())
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in made)  # containers' users read them
    return {path.name: path.read_text() for path in made}


def test_secrets_are_drawn_once(tmp_path: Path) -> None:
    made = _make_secrets(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{48}", made["redis_password"])
    assert re.fullmatch(r"mmml_[0-9a-f]{48}", made["first_key"])
    assert _make_secrets(tmp_path) == made


def test_secrets_of_an_earlier_env_file_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_PASSWORD=letters\nMMML_PORT=1\nMMML_FIRST_KEY=mmml_x\n")
    assert _make_secrets(tmp_path) == {"redis_password": "letters", "first_key": "mmml_x"}


def test_only_the_gateway_gets_the_first_key() -> None:
    assert [n for n, s in SERVICES.items() if "first_key" in s.get("secrets", [])] == ["gateway"]


@pytest.mark.parametrize("name", ["gateway", "reconciler", *WORKERS])
def test_settings_of_the_env_file_reach_the_processes_but_for_secrets(name: str) -> None:
    service = SERVICES[name]
    assert service["env_file"][0] == {"path": ".env", "required": False}
    own = service["environment"]
    assert own["REDIS_PASSWORD"] == own["MMML_FIRST_KEY"] == ""
    assert own["MMML_REDIS_PASSWORD_FILE"].endswith("/redis_password")
    assert "redis_password" in service["secrets"]


def test_redis_keeps_what_it_accepted() -> None:
    lines = (ROOT / "deploy/redis.conf").read_text().splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "dir /data"} <= set(lines)
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert "redis.sh" in stage("redis")


RedisStart = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def redis_start(tmp_path: Path) -> RedisStart:
    """Runs the container's script, with a Redis that only shows what it would read."""
    program = tmp_path / "redis-server"
    program.write_text('#!/bin/sh\ncat "$1"\n')
    program.chmod(0o755)
    secret = tmp_path / "secret"

    def run(password: str, **variables: str) -> subprocess.CompletedProcess[str]:
        secret.write_text(password)
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SECRET": str(secret), **variables}
        script = ["sh", str(ROOT / "deploy/redis.sh")]
        return subprocess.run(script, env=env, capture_output=True, text=True, check=False)

    return run


def test_redis_starts_with_password_and_limit(redis_start: RedisStart) -> None:
    done = redis_start("letters", REDIS_MEMORY="1gb", PROFILES="gpus-4,monitoring")
    assert done.stdout.splitlines()[1:] == ["requirepass letters", "maxmemory 1gb"]


@pytest.mark.parametrize(
    ("password", "profiles", "says"),
    [("", "", "Run deploy/secrets.sh"), ("letters", "gpus-3", "COMPOSE_PROFILES names gpus-3")],
)
def test_nothing_starts_with_what_it_does_not_know(
    redis_start: RedisStart, password: str, profiles: str, says: str
) -> None:
    done = redis_start(password, PROFILES=profiles)
    assert done.returncode == 1
    assert says in done.stderr


def test_the_script_of_redis_knows_every_profile() -> None:
    profiles = {name for s in SERVICES.values() for name in s.get("profiles", [])}
    found = re.search(r"^ +(gpus-.*)\) ;;$", (ROOT / "deploy/redis.sh").read_text(), re.M)
    assert found
    assert set(found[1].split(" | ")) == profiles


def test_one_worker_per_gpu() -> None:
    devices = {}
    for name in WORKERS:
        (device,) = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert SERVICES[name]["environment"]["MMML_DEVICE"] == "cuda"
        devices[name] = device["device_ids"]
    expected = {"worker": ["${GPU_0:-0}"]}
    expected |= {f"worker-{n}": [f"${{GPU_{n}:-{n}}}"] for n in range(1, 8)}
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
        assert {name.removesuffix("_FILE") for name in used} <= known


@pytest.mark.parametrize("name", ["gateway", "reconciler", *WORKERS])
def test_engines_wait_longer_than_the_processes_drain(name: str) -> None:
    service = SERVICES[name]
    grace = float(
        service["environment"].get("MMML_DRAIN", service["environment"].get("MMML_GRACE", 0))
    )
    assert float(service["stop_grace_period"].removesuffix("s")) >= grace + 10


def _asked(image: str) -> list[str]:
    script = [sys.executable, str(ROOT / "deploy/requirements.py"), image]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()


def _versions(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.+!]+)", text, re.MULTILINE))


def test_images_ask_for_what_the_projects_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    service = [*project["dependencies"], *extras["otel"]]
    assert _asked("gateway") == [*service, *client["dependencies"]]
    worker = [*service, *extras["worker"]]
    assert sorted([*_asked("worker"), *_asked("torch")]) == sorted(worker)
    assert [line.split(">")[0] for line in _asked("torch")] == ["torch", "torchvision"]


@pytest.mark.parametrize("image", ["gateway", "worker"])
def test_every_file_that_an_image_installs_has_its_hash(image: str) -> None:
    text = (ROOT / f"deploy/{image}.lock").read_text()
    locked, pinned = _versions(text), _versions((ROOT / "constraints.txt").read_text())
    assert f"--require-hashes -r {image}.lock" in DOCKERFILE
    assert {re.split(r"[\[><=;]", line)[0] for line in _asked(image)} <= set(locked)
    for name, rest in re.findall(r"^(\S+)==(.*\n(?:    .*\n)*)", text, re.MULTILINE):
        assert "--hash=sha256:" in rest, name
        assert pinned.get(name, locked[name]) == locked[name], f"run make lock: {name} differs"


def test_the_build_stays_with_the_classic_builder() -> None:
    assert "--mount" not in DOCKERFILE
    assert "<<" not in DOCKERFILE
    assert "# syntax" not in DOCKERFILE


def test_redis_has_a_limit_below_that_of_its_container() -> None:
    assert SERVICES["redis"]["environment"]["REDIS_MEMORY"] == "${REDIS_MEMORY:-512mb}"
    assert SERVICES["redis"]["mem_limit"] == "${REDIS_MEM_LIMIT:-1280m}"
