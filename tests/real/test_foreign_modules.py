"""The service in a folder whose packages have the names of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.real.conftest import Service

pytestmark = pytest.mark.real
MMML = [str(Path(sys.executable).parent / "mmml")]
NAMES = ("app", "jobs", "models", "workers", "benchmarks", "tests")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody's project; each of its packages writes down who imports it."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "import pathlib, sys\n"
            f"with open({str(tmp_path / 'imports')!r}, 'a') as file:\n"
            f"    file.write('{name} ' + ' '.join(sys.orig_argv) + '\\n')\n"
            "OWNER = 'somebody else'\n"
        )
    return tmp_path


def imports(folder: Path) -> str:
    file = folder / "imports"
    return file.read_text() if file.exists() else ""


_PROGRAM = """
import app, jobs, models, workers
from mmml import Client
from mmml.testing import fake_service

assert {app.OWNER, jobs.OWNER, models.OWNER, workers.OWNER} == {"somebody else"}
with fake_service() as url, Client(url) as client:
    print(client.synthesize("a red bird").wait().images[0].size)
"""


def test_a_program_with_such_packages_uses_client_and_fixture(foreign: Path) -> None:
    (foreign / "program.py").write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=foreign, capture_output=True, text=True, check=False
    )
    assert done.stdout == "(256, 256)\n", done.stderr
    importers = {line.split(maxsplit=1)[1] for line in imports(foreign).splitlines()}
    assert importers == {f"{sys.executable} program.py"}


def test_the_commands_in_such_a_folder(
    foreign: Path, eventually: Callable[[Callable[[], bool], float], None]
) -> None:
    """``mmml serve --fake`` and the client's commands, as people type them."""
    port = str(free_port())
    serve = [*MMML, "serve", "--fake", "--port", port, "--until-stdin-closes"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    with subprocess.Popen(serve, cwd=foreign, env=environment, stdin=subprocess.PIPE) as process:
        make = [*MMML, "--url", f"http://127.0.0.1:{port}", "synthesize", "a red bird"]
        eventually(lambda: is_ready(port), 60)
        subprocess.run([*make, "-o", "bird.png"], cwd=foreign, env=environment, check=True)
        assert process.stdin
        process.stdin.close()  # as when the program that started it is gone
        assert process.wait(30) == 0
    assert (foreign / "bird.png").read_bytes().startswith(b"\x89PNG")
    assert imports(foreign) == ""


def is_ready(port: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    return False


@pytest.mark.slow
def test_the_networks_in_such_a_folder(service: Service, foreign: Path) -> None:
    service.start(folder=foreign)
    service.ready()
    service.all_succeed([service.submit()], 60)
    service.stop()
    assert imports(foreign) == ""


def test_packages_on_the_path_are_named(foreign: Path) -> None:
    """Python obeys PYTHONPATH before all else, so what follows from it is explained."""
    (foreign / "app" / "__init__.py").write_text("import settings_of_somebody_else")
    done = subprocess.run(
        [*MMML, "serve", "--fake"],
        cwd=foreign,
        env=os.environ | {"PYTHONPATH": str(foreign)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "'mmml serve' can't be loaded" in done.stderr
    assert "PYTHONPATH" in done.stderr
