"""Prints what an image asks for by pyproject.toml: ``requirements.py gateway``, ``worker`` (without
torch) or ``torch``. ``make lock`` adds what those need themselves, with versions and hashes.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def requirements(image: str) -> list[str]:
    """Lines for pip. torch is apart, as each machine has its own build of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]
    worker = project["optional-dependencies"]["worker"]
    otel = project["optional-dependencies"]["otel"]
    torch = [line for line in worker if line.startswith("torch")]
    return {
        "gateway": [*project["dependencies"], *otel, *client["dependencies"]],
        "worker": [*project["dependencies"], *otel, *(x for x in worker if x not in torch)],
        "torch": torch,
    }[image]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(sys.argv[1])) + "\n")
