"""Explanations: asked for, stored beside the pictures, seen by who may see these, and erased with
them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.server import create_app
from app.gateway.services import Services
from app.settings import GatewaySettings
from jobs.blobs import output_key
from jobs.errors import BlobMissing
from jobs.explanation import ExplanationView, WordView
from jobs.job import ImageRecord
from jobs.requests import TASKS, TaskRequest, register_task
from jobs.store import JobOutcome
from tests.app.conftest import mask_png, png, succeed
from tests.conftest import write_paper_bundle
from tests.moves import begun, finish
from tests.services import LocalClient, connected

EXPLANATION = ExplanationView(
    image=0,
    method="fake",
    words=[WordView(text=0, word="red", start=2, end=5, known=True, peak=0.5, maps={})],
    features={},
)


@pytest.fixture
def services(tmp_path: Path, valkey: str) -> Services:
    write_paper_bundle(tmp_path / "paper", ("synthesize", "manipulate", "inpaint", "damsm"))
    write_paper_bundle(tmp_path / "alone", ("synthesize",))
    defaults = {f"default_{task}": "paper" for task in ("synthesize", "manipulate", "inpaint")}
    return connected(GatewaySettings(weights_dir=tmp_path, **defaults), valkey)


def asked(client: TestClient, **fields: Any) -> Any:
    return client.post("/synthesize", json={"text": "a red bird", "explain": True, **fields})


def explained(services: Services, job_id: str) -> str:
    """What a worker does; where the explanation lies."""
    token = begun(services.store, job_id)
    picture, result = output_key(job_id, token, 0, "png"), output_key(job_id, token, 0, "json")
    services.blobs.put(picture, png())
    services.blobs.put(result, EXPLANATION.model_dump_json().encode())
    image = ImageRecord(index=0, seed=1, width=40, height=30, blob=picture, explanation=result)
    assert finish(services.store, job_id, token, JobOutcome([image]))
    return result


def test_an_explanation_has_its_own_address(client: TestClient, services: Services) -> None:
    job = asked(client).json()
    assert job["input"]["explain"] is True
    address = f"/jobs/{job['id']}/images/0/explanation"
    assert client.get(address).status_code == 409
    explained(services, job["id"])
    assert client.get(f"/jobs/{job['id']}").json()["images"][0]["explanation"] == address
    response = client.get(address)
    assert response.headers["content-type"] == "application/json"
    assert ExplanationView.model_validate_json(response.content) == EXPLANATION
    assert "immutable" in response.headers["cache-control"]
    tag = {"if-none-match": response.headers["etag"]}
    assert client.get(address, headers=tag).status_code == 304
    assert client.get(f"/jobs/{job['id']}/images/1/explanation").status_code == 404


def test_pictures_that_were_not_to_be_explained(client: TestClient, services: Services) -> None:
    job = asked(client, explain=False).json()
    succeed(services, job["id"])
    assert client.get(f"/jobs/{job['id']}").json()["images"][0]["explanation"] is None
    response = client.get(f"/jobs/{job['id']}/images/0/explanation")
    assert response.status_code == 404
    assert "explain true" in response.json()["detail"]
    assert client.get(f"/jobs/{'0' * 32}/images/0/explanation").status_code == 404


def test_it_is_erased_with_its_picture(client: TestClient, services: Services) -> None:
    job = asked(client).json()["id"]
    result = explained(services, job)
    assert client.delete(f"/jobs/{job}").status_code == 204
    assert client.get(f"/jobs/{job}/images/0/explanation").status_code == 410
    with pytest.raises(BlobMissing):
        services.blobs.get(result)


def test_an_explanation_that_is_lost(client: TestClient, services: Services) -> None:
    job = asked(client).json()["id"]
    services.blobs.delete_prefix(str(Path(explained(services, job)).parent))
    assert client.get(f"/jobs/{job}/images/0/explanation").status_code == 503


def test_another_owner_sees_nothing(services: Services) -> None:
    keys = {name: generate_key() for name in ("mine", "theirs")}
    for name, key in keys.items():
        services.authenticator.keys.add(new_api_key(key, name, default_scopes()))
    with LocalClient(create_app(services.settings, services)) as client:
        mine, theirs = ({"authorization": f"Bearer {keys[n]}"} for n in ("mine", "theirs"))
        body = {"text": "a red bird", "explain": True}
        job = client.post("/synthesize", json=body, headers=mine).json()["id"]
        explained(services, job)
        address = f"/jobs/{job}/images/0/explanation"
        assert client.get(address, headers=mine).status_code == 200
        assert client.get(address, headers=theirs).status_code == 404
        assert client.get(address).status_code == 401


def test_forms_ask_for_it_too(client: TestClient) -> None:
    form = client.post(
        "/manipulate", data={"text": "a bird", "explain": "true"}, files={"image": png()}
    )
    assert form.json()["input"]["explain"] is True
    assert client.post("/synthesize", data={"text": "a", "explain": "perhaps"}).status_code == 422


def test_methods_without_words_explain_nothing(client: TestClient) -> None:
    body = {
        "text": "a red bird",
        "image": base64.b64encode(png()).decode(),
        "mask": base64.b64encode(mask_png()).decode(),
        "explain": True,
    }
    refused = client.post("/inpaint", json={**body, "method": "telea"})
    assert refused.status_code == 422
    assert "does not look at words" in refused.json()["detail"]
    assert "use method 'fake'" in refused.json()["detail"]
    assert client.post("/inpaint", json=body).status_code == 202
    assert client.post("/inpaint", json={**body, "method": "telea", "explain": False}).is_success


def test_bundles_without_encoders_explain_no_synthesis(client: TestClient) -> None:
    refused = asked(client, bundle="alone")
    assert refused.status_code == 422
    assert "'alone' lacks damsm" in refused.json()["detail"]


@pytest.fixture
def plain_task() -> Iterator[None]:
    class Plain(TaskRequest):
        task = "plain"
        summary = "A task that explains nothing"

    register_task(Plain)
    yield
    del TASKS["plain"]


def test_tasks_that_explain_nothing(plain_task: None, tmp_path: Path, valkey: str) -> None:
    write_paper_bundle(tmp_path / "more", ("plain",))
    services = connected(GatewaySettings(weights_dir=tmp_path), valkey)
    with LocalClient(create_app(services.settings, services)) as client:
        refused = client.post("/plain", json={"text": "a bird", "explain": True})
        assert refused.status_code == 422
        assert "plain explains no pictures" in refused.json()["detail"]
        assert client.post("/plain", json={"text": "a bird"}).status_code == 202


def test_the_document_knows_it(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    answer = document["paths"]["/jobs/{job_id}/images/{index}/explanation"]["get"]["responses"]
    schema = answer["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ExplanationView"}
    assert "$defs" not in json.dumps(document)
