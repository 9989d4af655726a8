"""docs/openapi.json, which is what the service says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"
DOCUMENT = json.loads(FILE.read_text())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Such as "get /jobs", and what the document says of it."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation
