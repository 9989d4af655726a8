"""Training's commands under ``mmml``."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from app.admin import model_commands
from mmml.cli import root

ROOT = Path(__file__).parents[3]
COMMANDS = {c.name: c for c in vars(model_commands).values() if isinstance(c, click.Command)}


def test_each_is_offered_and_described() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    offered = project["entry-points"]["mmml.commands"]
    assert COMMANDS.keys() <= offered.keys()
    assert offered.keys() == root._HELP.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_and_errors_are_those_of_the_models(name: str) -> None:
    variable = name.replace("-", "_") + ("_" if name == "import" else "")
    program = f"from app.admin.model_commands import {variable} as c; c(%r)"
    shown, wrong = (
        subprocess.run(
            [sys.executable, "-c", program % ([word],)], cwd=ROOT, capture_output=True, text=True
        )
        for word in ("--help", "--nonsense")
    )
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: mmml {name} ")
    assert wrong.returncode == 2
    assert "usage: mmml" in wrong.stderr
