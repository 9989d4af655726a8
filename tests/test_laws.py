"""The import laws, seen from outside: what a fresh process has loaded after importing each room.
And each room is installed with its files.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

WALK = """
import importlib, pkgutil, sys
room = importlib.import_module({room!r})
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(" ".join(sorted({{name.split(".")[0] for name in sys.modules}})))
"""

FORBIDDEN = {
    "mmml": {"jobs", "app", "workers", "models", "pydantic", "redis", "celery", "torch", "numpy"},
    "jobs": {"app", "workers", "models", "fastapi", "starlette", "celery", "torch", "numpy"},
    "app": {"workers", "models", "torch", "torchvision", "numpy"},
    "workers": {"app", "fastapi", "starlette", "uvicorn"},
    "models": {"app", "workers", "celery", "fastapi", "starlette", "redis", "obstore"},
}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_room_loads_nothing_forbidden(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WALK.format(room=room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not FORBIDDEN[room] & set(done.stdout.split())


@pytest.mark.parametrize("room", ["app", "jobs"])
def test_files_beside_modules_are_installed(room: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"][room]
    installed = {path for pattern in patterns for path in (ROOT / room).glob(pattern)}
    beside = {path for path in (ROOT / room).rglob("*") if path.is_file()}
    assert {path for path in beside if path.suffix not in (".py", ".pyc")} == installed
