"""The sign of life that container engines look at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import liveness


def check(path: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, liveness.VARIABLE: str(path)}
    command = [sys.executable, "-m", "jobs.liveness"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_fresh_sign_is_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(liveness.VARIABLE, str(tmp_path / "alive"))
    liveness.touch_file()
    assert check(tmp_path / "alive").returncode == 0


def test_an_old_or_missing_sign_is_not(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    missing = check(path)
    path.touch()
    os.utime(path, (0, time.time() - 2 * liveness.MAX_AGE))
    old = check(path)
    assert (missing.returncode, old.returncode) == (1, 1)
    assert "no sign of life yet" in missing.stderr
    assert "last sign of life 120 s ago" in old.stderr


def test_a_place_that_takes_no_file_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(liveness.VARIABLE, "/nonexistent/alive")
    liveness.touch_file()
    monkeypatch.delenv(liveness.VARIABLE)
    liveness.touch_file()
    assert liveness.age() is None
