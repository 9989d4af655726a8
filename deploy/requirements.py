"""Prints what pyproject.toml asks for, so that an image's dependencies are layers of their own:
``requirements.py`` what every process needs, ``requirements.py EXTRA`` what an extra adds.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any


def requirements(project: dict[str, Any], extra: str | None) -> list[str]:
    """The dependencies of every installation, or those of one extra."""
    found: list[str] = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return found


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    read = tomllib.loads((root / "pyproject.toml").read_text())
    extra = sys.argv[1] if len(sys.argv) > 1 else None
    sys.stdout.write("\n".join(requirements(read["project"], extra)) + "\n")
