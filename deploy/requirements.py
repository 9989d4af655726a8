"""Prints what pyproject.toml asks for, so that an image's dependencies are layers of their own:
``requirements.py`` what every process needs, ``requirements.py EXTRA`` what an extra adds,
``requirements.py client`` what the ``mmml`` command needs.
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


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    name = sys.argv[1] if len(sys.argv) > 1 else None
    folder, extra = (root / "client", None) if name == "client" else (root, name)
    read = tomllib.loads((folder / "pyproject.toml").read_text())
    sys.stdout.write("\n".join(requirements(read["project"], extra)) + "\n")


if __name__ == "__main__":
    main()
