"""``python -m docs.tools.openapi DOCUMENT TASKS``: what clients are made from, as files: the
service's OpenAPI document, and the short description of the tasks that the Python client carries.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.requests import TASKS, TaskRequest

_SCHEMA_KEYS = ("type", "description", "enum", "minimum", "maximum", "minLength", "maxLength")


def openapi_document() -> str:
    """What ``GET /openapi.json`` answers; needs neither broker nor weights."""
    settings = GatewaySettings(allowed_hosts=())
    schema = create_app(settings, Services(settings)).openapi()
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def task_descriptions(tasks: Mapping[str, type[TaskRequest]]) -> str:
    """Tasks with their images, and their fields as flat JSON schemas: of several types that a value
    may have, the first. ``mmml/tasks.py`` reads it.
    """
    described = {name: _task(request) for name, request in tasks.items()}
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _task(request: type[TaskRequest]) -> dict[str, Any]:
    schema = request.model_json_schema()
    return {
        "summary": request.summary,
        "images": {image.name: image.description for image in request.images},
        "repeatable": list(request.repeatable),
        "required": schema["required"],
        "fields": {name: _field(field) for name, field in schema["properties"].items()},
    }


def _field(schema: Mapping[str, Any]) -> dict[str, Any]:
    branch = (schema.get("anyOf") or schema.get("oneOf") or [{}])[0]
    flat = {**branch, **schema}
    kept = {name: flat[name] for name in _SCHEMA_KEYS if name in flat}
    default = schema.get("default")
    return kept if default is None else {**kept, "default": default}


if __name__ == "__main__":
    for file, text in zip(
        sys.argv[1:], (openapi_document(), task_descriptions(TASKS)), strict=True
    ):
        Path(file).write_text(text, encoding="utf-8")
