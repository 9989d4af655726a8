"""Which weights made the pictures of README, docs, studio and notebooks: docs/pictures/weights.json
has for each file the bundles that made it, each with a digest; no bundle for pictures that no
weights make, such as plots and drawn birds.

Usage, for a picture that none of the tools made:
``python -m docs.tools.provenance FILE… [--bundles aviary …]``
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs/pictures/weights.json"
WEIGHTS = ROOT / "weights"
_FOLDERS = ("docs/pictures", "docs/examples", "docs/notebooks", "app/gateway/studio")
_SUFFIXES = (".png", ".jpg", ".webp", ".gif", ".ipynb")
_NO_MATTER = ("stage", "licence")  # of a task in bundle.json: change no pixel


def digest(bundle: str) -> str:
    """Of all in ``bundle.json`` that pictures depend on, which names the files by their own."""
    tasks = json.loads((WEIGHTS / bundle / "bundle.json").read_bytes())["tasks"]
    kept = {
        task: {name: value for name, value in spec.items() if name not in _NO_MATTER}
        for task, spec in tasks.items()
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def pictures() -> list[str]:
    """All, as paths from the checkout."""
    found = (path for folder in _FOLDERS for path in (ROOT / folder).iterdir())
    return sorted(str(p.relative_to(ROOT)) for p in found if p.suffix in _SUFFIXES)


def read() -> dict[str, dict[str, str]]:
    return dict(json.loads(RECORD.read_text())) if RECORD.exists() else {}


def record(paths: Iterable[Path], bundles: Iterable[str]) -> None:
    """Note that the bundles, as they are now, made these pictures; forget those that are gone."""
    made = {bundle: digest(bundle) for bundle in sorted(bundles)}
    noted = {str(path.resolve().relative_to(ROOT)): made for path in paths}
    kept = {name: by for name, by in (read() | noted).items() if (ROOT / name).exists()}
    RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--bundles", nargs="*", default=[])
    given = parser.parse_args()
    record(given.files, given.bundles)


if __name__ == "__main__":
    main()
