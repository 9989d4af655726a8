"""docs/testing.md says what is true: its fixture works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.job import ErrorCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text()


def test_every_code_is_there() -> None:
    assert f"any of {', '.join(f'`{code}`' for code in ErrorCode)} |" in PAGE


@pytest.mark.real
def test_the_fixture_works_as_it_stands(tmp_path: Path) -> None:
    conftest, tests = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_program.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
