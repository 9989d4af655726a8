"""A Python environment with the client's wheel, what the wheel requires, and nothing else; made
without network from the packages of this environment.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

CLIENT = Path(__file__).parents[2] / "client"


def pip(*words: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """The client's wheel, built from a copy of its folder, so that nothing is left in the tree."""
    source = folder / "client"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("*.egg-info", "build"))
    pip("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def client_environment(folder: Path) -> Path:
    """The ``bin`` folder of a new environment in ``folder``."""
    environment = folder / "environment"
    command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(command, check=True)
    python = environment / "bin" / "python"
    pip(
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(build_wheel(folder)),
    )
    (packages,) = environment.glob("lib/python*/site-packages")
    for name in requirements(_required("mmml-client", packages)):
        _copy(name, packages)
    pip("--python", str(python), "check")
    return python.parent


def requirements(names: set[str]) -> set[str]:
    """The distributions, and all that they require."""
    found: set[str] = set()
    while names:
        found |= names
        names = set().union(*(_required(name) for name in names)) - found
    return found


def _required(name: str, packages: Path | None = None) -> set[str]:
    path = {"path": [str(packages)]} if packages else {}
    distribution = next(iter(importlib.metadata.distributions(name=name, **path)))
    read = map(Requirement, distribution.requires or ())
    return {r.name.lower() for r in read if r.marker is None or r.marker.evaluate({"extra": ""})}


def _copy(name: str, packages: Path) -> None:
    """The distribution's files, without those outside of the packages' folder, such as scripts."""
    distribution = importlib.metadata.distribution(name)
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(distribution.locate_file(file)), target)
