"""Which code trained: the package's version and, in a checkout, the commit."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path


def code_version() -> dict[str, str]:
    """``{"mmml": …, "torch": …, "commit": …, "source": …}``: the commit ends in ``+`` where files
    differ; source is the folder that the running code was imported from.
    """
    found = {name: _version(name) for name in ("mmml", "torch")}
    return {**found, "commit": _commit(), "source": str(Path(__file__).resolve().parents[2])}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    folder = Path(__file__).parent
    git = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"
