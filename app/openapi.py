"""``python -m app.openapi FILE``: the service's OpenAPI document, as a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.deps import Services
from app.main import create_app
from app.settings import GatewaySettings


def document() -> str:
    """What ``GET /openapi.json`` answers; needs neither broker nor weights."""
    settings = GatewaySettings(allowed_hosts=())
    schema = create_app(settings, Services.in_memory(settings)).openapi()
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
