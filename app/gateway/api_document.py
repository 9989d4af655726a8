"""What the OpenAPI document says beside the routes: tags, schemas that several routes share, and
examples, which were recorded from a service with the shipped weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from app.gateway.api_keys import COOKIE
from app.gateway.json_bodies import BatchRequest, PurgeRequest
from app.gateway.openai.errors import ErrorResponse
from app.gateway.openai.requests import EditRequest, GenerationRequest
from app.gateway.problems import ProblemView
from jobs.requests import TASKS, ImageField, TaskRequest

Schema = dict[str, Any]
_EXAMPLES = Path(__file__).parent / "examples.json"
DESCRIPTION = """Text-guided image generation: `/synthesize` generates images from text,
`/manipulate` edits a photo, `/inpaint` fills a hole in a photo. A request is answered with a job;
poll its address, or add `?wait=30`."""
TAGS = [
    {"name": name, "description": description}
    for name, description in {
        "tasks": "Send a text, and a photo where the task edits one. The answer is a job or, with "
        "`?wait=30` and `Accept: image/png`, the image.",
        "jobs": "Follow a job, fetch its images, cancel it, erase it.",
        "batches": "Many jobs under one id: one event stream, one webhook, all images in one file.",
        "models": "Which bundles of weights are served, and which words they know.",
        "webhooks": "The secret that verifies the messages sent to a job's `webhook`.",
        "openai": "The tasks in the shape of OpenAI's Images API, for programs written for that.",
        "admin": "For operators, with a key that has the scope `admin`.",
        "access": "Who is asking, and a cookie for web pages instead of a key.",
        "health": "For load balancers and container engines; needs no key.",
    }.items()
]


class DocumentedApp(FastAPI):
    """Serves the document of its routes with what they refer to."""

    def __init__(self, **options: Any) -> None:
        self._shared = _shared_components()
        super().__init__(**options)

    def openapi(self) -> Schema:
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document["components"]["schemas"] | self._shared
            _add_examples(schemas)
            document["components"]["schemas"] = dict(sorted(schemas.items()))
            _add_sessions(document)
        return self.openapi_schema or {}


def _add_sessions(document: Schema) -> None:
    """Where a key is taken, the cookie of its session is, too."""
    document["components"]["securitySchemes"]["Session"] = {
        **{"type": "apiKey", "description": "From POST /session."},
        **{"in": "cookie", "name": COOKIE},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            if "security" in operation:
                operation["security"].append({"Session": []})


def request_body(components: Mapping[str, str], *, required: bool = True) -> Schema:
    """A body that is one of shared components, by media type. JSON stands first: documentation
    pages prefill it.
    """
    content = {
        kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}
        for kind, name in components.items()
    }
    return {"required": required, "content": content}


def _shared_components() -> Schema:
    found: Schema = {}
    for task in TASKS.values():
        _add_task(found, task)
    small = BatchRequest, PurgeRequest
    for model in (ProblemView, ErrorResponse, GenerationRequest, EditRequest, *small):
        found[model.__name__] = _lifted(found, model)
    edit = found["EditRequest"]
    edit["properties"] = _without_null(edit["properties"]) | {
        "image": _file("the photo: PNG, JPEG or WebP"),
        "mask": _file("an image of the photo's size, transparent where it is to be filled"),
    }
    edit["required"] = [*edit["required"], "image"]
    return found


def _lifted(components: Schema, model: type[BaseModel]) -> Schema:
    """The schema of ``model``, whose parts are put beside it."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    components |= schema.pop("$defs", {})
    return schema


def _add_task(components: Schema, task: type[TaskRequest]) -> None:
    schema = _lifted(components, task)
    images = {spec.name: _image(spec) for spec in task.images}
    box = '; instead of a file also a box "x,y,width,height", or "alpha"'
    files = {s.name: _file(s.description + box * (s.kind == "mask")) for s in task.images}
    required = [*schema.get("required", []), *images]
    for suffix, properties in (
        ("Request", schema["properties"] | images),
        ("Form", task.form_properties(_without_null(schema["properties"])) | files),
    ):
        made = {"title": task.__name__ + suffix, "properties": properties, "required": required}
        components[task.__name__ + suffix] = {**schema, **made}


def _without_null(properties: Schema) -> Schema:
    """The same fields in a form, where what has no value is left out."""
    result = {}
    for name, schema in properties.items():
        first, *others = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}] or [
            {}
        ]
        kept = {k: v for k, v in schema.items() if (k, v) != ("default", None)}
        if "anyOf" in schema and not others:
            kept = {k: v for k, v in kept.items() if k != "anyOf"} | first
        result[name] = kept
    return result


def _file(description: str) -> Schema:
    return {"type": "string", "format": "binary", "description": description}


def _image(spec: ImageField) -> Schema:
    text = f"{spec.description}; base64, a data URL or the path of an earlier job's image"
    photo: Schema = {"type": "string", "minLength": 1, "description": text}
    if spec.kind != "mask":
        return photo
    photo["description"] += '; or "alpha" for the photo\'s own transparency'
    side = {"type": "integer", "minimum": 0}
    box = {"type": "array", "minItems": 4, "maxItems": 4, "items": side}
    described = "a box in pixels of the upright photo: x, y, width, height"
    return {
        "anyOf": [photo, {**box, "description": described}],
        "description": f"{spec.description}; as an image or as a box x, y, width, height",
    }


def _add_examples(schemas: Schema) -> None:
    """To each component and, one by one, to the fields that are no components themselves: from the
    example of the whole or, where that leaves a field out, from "*".
    """
    examples = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
    fields = examples.pop("*")
    for name in schemas.keys() & examples:
        schemas[name]["examples"] = [examples[name]]
        properties = schemas[name].get("properties", {})
        for key, schema in properties.items():
            if "$ref" in schema:
                continue
            if key in examples[name]:
                properties[key] = {**schema, "examples": [examples[name][key]]}
            elif key in fields:
                shown = [fields[key]]
                if name.endswith("Form"):
                    # Swagger UI prefills and sends the first of each field; empty is absent.
                    shown.insert(0, [] if isinstance(fields[key], list) else "")
                properties[key] = {**schema, "examples": shown}
