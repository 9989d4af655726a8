"""``make pictures``: all pictures of README, docs and notebooks again, with the shipped weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from docs.tools.provenance import ROOT, record
from docs.tools.studio_pictures import service


def main() -> None:
    run("-m", "docs.tools.gallery")
    run("-m", "docs.tools.hero")
    with service() as address:
        run("-m", "docs.tools.studio_pictures", "--url", address)
        run_notebooks(address)


def run(*words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)  # noqa: S603


def run_notebooks(address: str) -> None:
    """In place, with the two bundles that they use."""
    notebooks = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
    program = Path(sys.executable).with_name("jupyter-execute")
    command = [str(program), "--inplace", *map(str, notebooks)]
    subprocess.run(command, check=True, env=os.environ | {"MMML_URL": address})  # noqa: S603
    record(notebooks, ("aviary", "cub"))


if __name__ == "__main__":
    main()
