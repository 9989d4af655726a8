"""Lists of texts, and morphs from one to another: what the gateway takes, counts and answers."""

from __future__ import annotations

import io

from fastapi.testclient import TestClient
from PIL import Image

from app.gateway.api_keys import default_scopes, generate_key, new_api_key
from app.gateway.services import Services
from jobs.images import encode_frames
from jobs.job import ImageRecord
from jobs.store import JobOutcome
from tests.moves import begun, finish

TEXTS = ["a red bird", "a blue bird"]


def test_a_list_is_shown_as_it_was_given(client: TestClient) -> None:
    given = ["a red  bird", {"text": "a blue bird", "weight": 2.0}]
    response = client.post("/synthesize", json={"text": given, "seed": 1})
    assert response.status_code == 202, response.text
    assert response.json()["input"]["text"] == ["a red bird", given[1]]


def test_forms_send_fields_again(client: TestClient) -> None:
    form = client.post("/synthesize", data={"text": TEXTS, "frames": "4", "seed": "1"})
    assert form.status_code == 202, form.text
    assert form.json()["input"] == {
        "text": TEXTS,
        "seed": 1,
        "count": 1,
        "bundle": "paper",
        "method": "fake",
        "format": "webp",
        "explain": False,
        "frames": 4,
        "noise_scale": 1.0,
        "candidates": 1,
    }
    weighted = client.post("/synthesize", data={"text": TEXTS, "weight": ["1", "3"]})
    assert weighted.json()["input"]["text"][1] == {"text": "a blue bird", "weight": 3.0}


def test_warnings_say_which_text(client: TestClient) -> None:
    texts = ["a zorgly bird", "red " * 20]
    warnings = client.post("/synthesize", json={"text": texts}).json()["warnings"]
    assert warnings[0] == "Unknown words were left out: zorgly."
    assert warnings[1].startswith("Text 2 is longer than the 12 words")


def test_the_same_list_is_done_once(client: TestClient) -> None:
    headers = {"Idempotency-Key": "morph-1"}
    body = {"text": TEXTS, "frames": 3, "seed": 1}
    first = client.post("/synthesize", json=body, headers=headers)
    again = client.post("/synthesize", json=body, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    other = client.post("/synthesize", json={**body, "text": TEXTS[::-1]}, headers=headers)
    assert other.status_code == 422


def test_animations_are_sent_as_they_are(client: TestClient, services: Services) -> None:
    job = client.post("/synthesize", json={"text": TEXTS, "frames": 2}).json()["id"]
    data, (width, height) = encode_frames(
        [Image.new("RGB", (16, 16), c) for c in ("red", "blue")], "webp"
    )
    token = begun(services.store, job)
    key = f"jobs/{job}/out/t/0.webp"
    services.blobs.put(key, data)
    image = ImageRecord(
        index=0, seed=1, width=width, height=height, blob=key, format="webp", frames=2
    )
    assert finish(services.store, job, token, JobOutcome([image]))
    assert client.get(f"/jobs/{job}").json()["images"][0]["frames"] == 2
    for accept in ("image/png", "image/gif", "*/*"):
        response = client.get(f"/jobs/{job}/images/0", headers={"accept": accept})
        assert response.headers["content-type"] == "image/webp"
        assert Image.open(io.BytesIO(response.content)).n_frames == 2
    reused = client.post("/manipulate", json={"text": "a bird", "image": f"/jobs/{job}/images/0"})
    assert reused.status_code == 422
    assert "animated; send a single picture" in reused.json()["detail"]


def test_every_frame_counts_as_a_picture(client: TestClient, services: Services) -> None:
    key = generate_key()
    services.authenticator.keys.add(
        new_api_key(key, "daily", default_scopes(), pictures_per_day=10)
    )
    headers = {"authorization": f"Bearer {key}"}
    body = {"text": TEXTS, "frames": 4}
    first = client.post("/synthesize", json={**body, "count": 2}, headers=headers)
    assert first.status_code == 202, first.text
    second = client.post("/synthesize", json=body, headers=headers)
    assert second.status_code == 429
    assert client.post(
        "/synthesize", json={"text": "a bird", "count": 2}, headers=headers
    ).is_success
