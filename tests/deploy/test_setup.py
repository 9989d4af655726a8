"""deploy/setup.sh, with interpreters that say which version they are and note what was asked."""

from __future__ import annotations

import http.server
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "setup.sh"
without_driver = pytest.mark.skipif(
    Path("/proc/driver/nvidia/version").exists()
    or (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="says what is done on x86 without an NVIDIA driver",
)
_FAKE = """#!/bin/sh
echo "$@" >> {calls}
case "$1 $2" in
    -c*) code=$2; shift 2
        exec {python} -c 'import sys; code, *sys.argv[1:] = sys.argv[1:]
sys.version_info = ({version}, 0, "final", 0); exec(code)' "$code" "$@" ;;
    "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
esac
"""


class Machine:
    """A folder, and a search path with little more than what ``install_python`` adds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.venv, self._calls = folder, folder / "venv", folder / "calls"
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name in ("sh", "cp", "mkdir", "uname"):
            found = shutil.which(name)
            assert found
            (self._bin / name).symlink_to(found)

    def install_python(self, version: str, path: Path | None = None) -> None:
        path = path or self._bin / "python3"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _FAKE.format(calls=self._calls, python=sys.executable, version=version)
        path.write_text(text)
        path.chmod(0o755)

    def set_up(self, **environment: str) -> tuple[int, str]:
        """Exit status, and what was said."""
        done = subprocess.run(
            [SCRIPT, self.venv],
            cwd=self.folder,
            env={"PATH": str(self._bin), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    @property
    def downloads(self) -> list[str]:
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if " install " in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def index() -> Iterator[str]:
    """Address of something that answers."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cpu"
        server.shutdown()


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_an_old_python_is_refused_before_any_download(machine: Machine) -> None:
    machine.install_python("3, 8")
    status, said = machine.set_up()
    assert status == 1
    assert "Python 3.11 or newer is needed, and python3 is 3.8." in said
    assert "make serve PYTHON=python3.12" in said
    assert machine.downloads == []
    assert not machine.venv.exists()


def test_an_old_environment_is_refused_as_well(machine: Machine) -> None:
    machine.install_python("3, 12")
    machine.install_python("3, 10", machine.venv / "bin" / "python")
    status, said = machine.set_up()
    assert status == 1
    assert "venv/bin/python is 3.10. Run make clean" in said
    assert machine.downloads == []


def test_a_missing_python_is_a_sentence(machine: Machine) -> None:
    status, said = machine.set_up(PYTHON="python3.13")
    assert status == 1
    assert "python3.13 is not there." in said


def test_sizes_are_said_and_pip_is_not_silenced(machine: Machine) -> None:
    machine.install_python("3, 12")
    status, said = machine.set_up()
    assert status == 0, said
    assert "6.5 GB" in said
    torch, rest = machine.downloads
    assert "torch" in torch
    assert "-c constraints.txt -e ./client" in rest
    assert not any(" -q" in line for line in machine.downloads)


@without_driver
def test_without_a_driver_the_cpu_build_is_taken_where_it_can_be(
    machine: Machine, index: str
) -> None:
    machine.install_python("3, 12")
    _, said = machine.set_up(TORCH_CPU_INDEX=index)
    assert "torch for the CPU is installed" in said
    assert f"--index-url {index} torch" in machine.downloads[0]


@without_driver
def test_without_a_driver_and_index_it_is_said_what_is_done(machine: Machine) -> None:
    machine.install_python("3, 12")
    _, said = machine.set_up()
    assert "make serve TORCH_INDEX=ADDRESS" in said
    _, said = machine.set_up(TORCH_CPU_INDEX="http://127.0.0.1:9")
    assert "can't be reached, so torch comes with CUDA" in said
    assert not any("--index-url" in line for line in machine.downloads)


def test_a_folder_of_wheels_takes_the_place_of_any_index(machine: Machine) -> None:
    machine.install_python("3, 12")
    folder = machine.folder / "wheels"
    folder.mkdir()
    (folder / "one.whl").touch()
    status, said = machine.set_up(WHEELS="wheels", TORCH_INDEX="https://index.example/cpu")
    assert status == 0, said
    assert not any("--index-url" in line for line in machine.downloads)
    assert "There is no NVIDIA driver" not in said


def test_an_empty_folder_of_wheels_is_refused_before_anything_else(machine: Machine) -> None:
    machine.install_python("3, 12")
    status, said = machine.set_up(WHEELS="wheels")
    assert status == 1
    assert "There are no wheels in wheels. Fill it where there is a network: make wheels." in said
    assert not machine.venv.exists()


def test_fewer_parts_are_installed_where_that_is_asked_for(machine: Machine) -> None:
    machine.install_python("3, 12")
    machine.set_up(EXTRAS="embedded,worker")
    assert machine.downloads[-1].endswith("-e .[embedded,worker]")


def test_an_index_that_is_given_is_used(machine: Machine) -> None:
    machine.install_python("3, 12")
    machine.set_up(TORCH_INDEX="https://index.example/cpu", TORCH_CPU_INDEX="https://other.example")
    assert "--index-url https://index.example/cpu torch" in machine.downloads[0]
