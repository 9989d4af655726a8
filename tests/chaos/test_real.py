"""One fault, as it is run by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_a_fault_and_its_row(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--quick", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "before store"], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "chaos: 1/1 faults hold"
    [(name, row)] = json.loads((tmp_path / "chaos.json").read_text()).items()
    assert name == "kill -9 worker: before store"
    assert (row["runs"], row["lost"], row["duplicated"], row["ok"]) == (1, 0, 0, True)
    assert 0 < row["seconds_max"] <= 35
