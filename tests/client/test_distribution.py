"""The client's wheel, installed alone, talks to a running service and needs nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmml.testing import fake_service
from tests.client.environments import client_environment, requirements

pytestmark = [pytest.mark.real, pytest.mark.slow]
SERVICE = Path(sys.executable).parent / "mmml"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment that has the client only."""
    return client_environment(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake_service() as url:
        yield url


def run(
    program: Path, *words: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    left_out = ("MMML_", "PYTHON")
    own = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    return subprocess.run(
        [program, *words],
        cwd=folder,
        env=own | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_requires_little() -> None:
    needed = requirements({"mmml-client"}) - {"mmml-client"}
    assert {"httpx", "httpx-sse", "pillow", "click"} <= needed
    service = {"fastapi", "celery", "redis", "obstore", "pydantic", "pydantic-settings", "limits"}
    assert not service & needed
    assert len(needed) < 13, needed


def test_the_command_line_makes_a_picture(programs: Path, url: str, tmp_path: Path) -> None:
    done = run(
        programs / "mmml",
        "synthesize",
        "a red bird",
        "-o",
        "bird.png",
        folder=tmp_path,
        MMML_URL=url,
    )
    assert (done.returncode, done.stdout) == (0, "bird.png\n"), done.stderr
    assert (tmp_path / "bird.png").read_bytes().startswith(b"\x89PNG")


def test_python_makes_pictures(programs: Path, url: str, tmp_path: Path) -> None:
    code = """
import asyncio, sys
from mmml import AsyncClient, Client

async def other():
    async with AsyncClient() as client:
        return (await (await client.synthesize("a bird", seed=7)).wait()).pictures

with Client() as client:
    job = client.synthesize("a bird", seed=7).wait()
assert asyncio.run(other()) == job.pictures
service = {"app", "jobs", "workers", "models", "pydantic", "fastapi", "redis", "celery"}
print(job.images[0].size, sorted(service & sys.modules.keys()))
"""
    done = run(programs / "python", "-c", code, folder=tmp_path, MMML_URL=url)
    assert done.stdout == "(256, 256) []\n", done.stderr


def test_help_needs_no_service(programs: Path, tmp_path: Path) -> None:
    output = run(programs / "mmml", "--help", folder=tmp_path).stdout
    assert "serve" in output
    assert "synthesize" in output
    options = run(programs / "mmml", "synthesize", "--help", folder=tmp_path).stdout
    assert "--frames INTEGER" in options
    assert "--seed INTEGER" in options


@pytest.mark.parametrize("words", [("serve", "--fake"), ("keys", "create", "shop"), ("keys",)])
def test_the_services_commands_say_where_they_are(
    programs: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = run(programs / "mmml", *words, folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: 'mmml {words[0]}' belongs to the service, which is not")
    assert done.stderr.count("\n") == 1
    as_json = run(programs / "mmml", "--json", *words, folder=tmp_path)
    assert json.loads(as_json.stderr)["error"]["exit"] == 3


_FIXTURE = """
from mmml import Client
from mmml.testing import fake_service

with fake_service() as url, Client(url) as client:
    print(client.synthesize("a bird").wait().images[0].size)
"""


def test_a_fake_service_from_elsewhere(programs: Path, tmp_path: Path) -> None:
    """``MMML_SERVICE`` is the mmml command, or a checkout that has one in its .venv."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for service in (SERVICE, tmp_path):
        done = run(programs / "python", "-c", _FIXTURE, folder=tmp_path, MMML_SERVICE=str(service))
        assert done.stdout == "(256, 256)\n", done.stderr


def test_a_fake_service_that_is_nowhere_says_so(programs: Path, tmp_path: Path) -> None:
    done = run(programs / "python", "-c", _FIXTURE, folder=tmp_path)
    assert "NotStarted: The service is not installed in this environment. Set MMML_SERVICE" in (
        done.stderr
    )
    wrong = run(programs / "python", "-c", _FIXTURE, folder=tmp_path, MMML_SERVICE=str(tmp_path))
    assert f"there is no program {tmp_path}/.venv/bin/mmml" in wrong.stderr
