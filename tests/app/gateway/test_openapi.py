"""docs/openapi.json is what the service says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from app.gateway.openapi import openapi_document

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_file_is_not_stale() -> None:
    now = openapi_document()
    # As data first, for an error that names what differs.
    assert json.loads(FILE.read_text()) == json.loads(now), "make openapi writes it again"
    assert FILE.read_text() == now
