"""docs/openapi.json is what the service says of itself, and says it of everything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi.testclient import TestClient

from app.gateway.services import Services
from docs.tools.openapi import openapi_document
from tests.app.gateway.openapi_file import DOCUMENT, FILE, operations

SCHEMAS = DOCUMENT["components"]["schemas"]


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    """All that is no component itself."""
    for name, schema in SCHEMAS.items():
        for key, field in schema.get("properties", {}).items():
            if "$ref" not in field:
                yield f"{name}.{key}", field
    for name, operation in operations():
        for parameter in operation.get("parameters", ()):
            yield f"{name} {parameter['name']}", {**parameter["schema"], **parameter}


def test_the_file_is_not_stale() -> None:
    now = openapi_document()
    # As data first, for an error that names what differs.
    assert json.loads(now) == DOCUMENT, "make openapi writes it again"
    assert FILE.read_text() == now


def test_operations_have_short_names() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+(_[a-z]+){0,3}", name) for name in ids)
    assert {"synthesize", "manipulate", "inpaint", "get_job", "list_jobs", "get_image"} <= set(ids)


def test_every_answer_has_a_schema() -> None:
    without = [
        f"{name} {status} {kind}"
        for name, operation in operations()
        for status, answer in operation["responses"].items()
        for kind, content in answer.get("content", {}).items()
        if kind != "text/event-stream" and not content.get("schema")
        if "/v1/" not in name  # programs of OpenAI's API bring their own types
    ]
    assert without == []


def test_everything_is_described() -> None:
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= described, name
    mute = [name for name, schema in SCHEMAS.items() if not schema.get("description")]
    mute += [name for name, field in fields() if not field.get("description")]
    assert mute == []


def test_every_field_has_an_example() -> None:
    def needs_none(field: dict[str, Any]) -> bool:
        return field.get("format") == "binary" or field["description"] == "refused"

    without = [n for n, f in fields() if not ({"example", "examples"} & set(f) or needs_none(f))]
    assert without == []


@pytest.mark.parametrize("name", sorted(name for name in SCHEMAS if "examples" in SCHEMAS[name]))
def test_examples_are_valid(name: str) -> None:
    (example,) = SCHEMAS[name]["examples"]
    needed = [] if name.endswith(("Form", "EditRequest")) else SCHEMAS[name].get("required", [])
    schema = {**SCHEMAS[name], "required": needed, "components": DOCUMENT["components"]}
    jsonschema.validate(example, schema)
    for field in SCHEMAS[name].get("properties", {}).values():
        if "examples" in field:
            jsonschema.validate(
                field["examples"][-1], {**field, "components": DOCUMENT["components"]}
            )


@pytest.mark.parametrize("task", ["synthesize", "manipulate", "inpaint"])
def test_the_prefilled_request_is_accepted(client: TestClient, task: str) -> None:
    content = DOCUMENT["paths"][f"/{task}"]["post"]["requestBody"]["content"]
    first = next(iter(content))
    assert first == "application/json"  # what documentation pages open with
    name = content[first]["schema"]["$ref"].rpartition("/")[2]
    assert client.post(f"/{task}", json=SCHEMAS[name]["examples"][0]).status_code == 202


def test_each_schema_is_there_once() -> None:
    for name, operation in operations():
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                schema = content.get("schema", {})
                assert "properties" not in schema, f"{name} {status} {kind}"
                if kind == "application/problem+json":
                    assert schema == {"$ref": "#/components/schemas/ProblemView"}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert set(content["schema"]) == {"$ref"}, name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/healthz", "HealthView"),
        ("/readyz", "ReadyView"),
        ("/admin/queue", "QueueView"),
        ("/v1/models", "OpenAIModels"),
        ("/v1/models/{model}", "OpenAIModel"),
    ],
)
def test_answers_are_components(path: str, name: str) -> None:
    answer = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": f"#/components/schemas/{name}"}


def test_a_ready_service_answers_as_documented(client: TestClient, services: Services) -> None:
    services.store.heartbeat("w", {"device": "cpu"}, 10)
    for path in ("/readyz", "/healthz", "/v1/models"):
        content = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": DOCUMENT["components"]}
        jsonschema.validate(client.get(path).json(), schema)


def test_every_route_that_is_not_open_says_so() -> None:
    """A new route must decide for itself whether it is open."""
    open_routes = {name for name, operation in operations() if not operation.get("security")}
    signed = "get /v1/images/{job_id}/{index}"  # whose address is its own permission
    assert open_routes == {"get /healthz", "get /readyz", signed}


def test_keys_sessions_and_problems_are_named() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert schemes["API key"]["scheme"] == "bearer"
    assert schemes["Session"]["in"] == "cookie"
    look = DOCUMENT["paths"]["/jobs/{job_id}"]["get"]
    assert {name for one in look["security"] for name in one} == {"API key", "Session"}
    for code in ("422", "default"):
        assert "application/problem+json" in look["responses"][code]["content"]
