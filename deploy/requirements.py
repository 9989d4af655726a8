"""Prints what pyproject.toml asks for: ``requirements.py [EXTRA…]``, so that an image's
dependencies are a layer of their own, which changes of the source leave alone.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(project: dict[str, object], extras: list[str]) -> list[str]:
    """The dependencies of every installation, then those of the extras."""
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(r for extra in extras for r in optional[extra])]  # type: ignore[misc, index]


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    read = tomllib.loads((root / "pyproject.toml").read_text())
    sys.stdout.write("\n".join(requirements(read["project"], sys.argv[1:])) + "\n")
