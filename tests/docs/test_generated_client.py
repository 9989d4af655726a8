"""docs/examples/generated: the generator has no complaint, and its client works, where
``make generators`` has been.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "examples" / "generated"
BIN = FOLDER / ".venv" / "bin"
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not BIN.is_dir(), reason="needs: make generators"),
]


def test_the_generated_client_works(fake_url: str, tmp_path: Path) -> None:
    document = ("--path", DOCS / "openapi.json", "--config", FOLDER / "config.yml")
    options = ("--meta", "none", "--fail-on-warning")
    command = [BIN / "openapi-python-client", "generate", *document, *options]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    made = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "arning" not in made.stdout + made.stderr
    shutil.copy(FOLDER / "birds.py", tmp_path)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"MMML_URL": fake_url}
    used = [BIN / "python", "birds.py"]
    done = subprocess.run(
        used, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.startswith("filled.png: succeeded"), done.stderr
    assert (tmp_path / "filled.png").read_bytes().startswith(b"\x89PNG")
