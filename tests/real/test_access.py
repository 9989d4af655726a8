"""``mmml serve`` with API keys: real processes, a public address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.gateway.api_keys import generate_key
from tests.ports import free_port
from tests.real.conftest import Service

pytestmark = [pytest.mark.real, pytest.mark.slow]
EVERYWHERE = "0.0.0.0"  # noqa: S104


def mmml(service: Service, *words: str, key: str = "") -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    if key:
        env["MMML_API_KEY"] = key
    command = [sys.executable, "-m", "mmml", "--url", str(service.http.base_url), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def keys(service: Service, *words: str) -> str:
    done = mmml(service, "keys", "--state-dir", str(service.state_dir), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def status(service: Service, path: str, key: str = "") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return service.http.get(path, headers=headers).status_code


def test_a_public_service_lets_keys_in_and_nobody_else(service: Service, tmp_path: Path) -> None:
    where = ("--port", str(free_port()), "--state-dir", str(service.state_dir))
    refused = mmml(service, "serve", "--host", EVERYWHERE, *where)
    assert refused.returncode == 1
    assert "mmml keys create" in refused.stderr
    assert "Traceback" not in refused.stderr

    first = generate_key()
    (tmp_path / "first").write_text(first)
    service.start(EVERYWHERE, MMML_FIRST_KEY_FILE=str(tmp_path / "first"))
    service.ready()
    assert status(service, "/jobs") == 401
    assert status(service, "/jobs", first) == 200
    assert status(service, "/healthz") == 200

    shop = keys(service, "create", "shop", "--rate", "2/hour")
    target = str(tmp_path / "bird.png")
    done = mmml(service, "synthesize", "a red bird", "-o", target, key=shop)
    assert done.returncode == 0, done.stderr
    assert "a red bird" in mmml(service, "jobs", key=shop).stdout
    other = keys(service, "create", "other")
    assert mmml(service, "jobs", key=other).stdout == ""
    mmml(service, "synthesize", "a red bird", "-o", target, key=shop)
    limited = mmml(service, "synthesize", "a red bird", "-o", target, key=shop)
    assert limited.returncode == 5
    assert "2 per 1 hour" in limited.stderr

    keys(service, "revoke", "shop")
    assert status(service, "/jobs", shop) == 401
    for log in (service.state_dir / "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert first not in text
        assert shop not in text


def test_an_open_service_closes_with_its_first_key(service: Service) -> None:
    service.start()
    assert status(service, "/jobs") == 200
    key = keys(service, "create", "mine")
    service.wait_until(lambda: status(service, "/jobs") == 401, 20)
    assert status(service, "/jobs", key) == 200
    keys(service, "revoke", "mine")
    keys(service, "forget", "mine")
    service.wait_until(lambda: status(service, "/jobs") == 200, 20)


def test_an_open_service_is_not_reached_from_elsewhere(service: Service) -> None:
    service.start()
    strange = httpx.get(
        f"http://127.0.0.1:{service.port}/jobs", headers={"Host": "rebound.example"}
    )
    assert strange.status_code == 400
