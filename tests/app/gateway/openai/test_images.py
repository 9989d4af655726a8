"""Pictures by the public client: what it asks for, and what becomes of it here."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from fastapi.testclient import TestClient
from openai import APIError, BadRequestError, InternalServerError, NotFoundError, OpenAI

from app.gateway.services import Services
from jobs.images import decode_photo
from jobs.job import Job, Status
from tests.app.conftest import png, stored_photo
from tests.app.gateway.openai.conftest import Painter, hole_png


def only_job(services: Services) -> Job:
    jobs, _ = services.store.list_jobs(None, 10, None)
    assert len(jobs) == 1
    return jobs[0]


def test_a_generation_is_a_synthesis(openai: OpenAI, services: Services) -> None:
    made = openai.images.generate(
        prompt="a red bird",
        n=2,
        size="auto",
        quality="high",
        user="someone",
        extra_body={"seed": 7},
    )
    job = only_job(services)
    assert job.task == "synthesize"
    assert job.request == {
        "text": "a red bird",
        "count": 2,
        "seed": 7,
        "bundle": "paper",
        "method": "fake",
        "format": "png",
        "explain": False,
        "noise_scale": 1.0,
        "candidates": 1,
    }
    assert made.data is not None
    for picture, record in zip(made.data, job.images, strict=True):
        assert picture.url is None
        assert base64.b64decode(picture.b64_json or "") == services.blobs.get(record.blob)
    assert made.created == int(job.finished_at or 0)
    assert made.size == "20x20"
    assert (made.model_extra or {})["job"] == job.id == made._request_id


def test_unknown_words_are_told(openai: OpenAI) -> None:
    made = openai.images.generate(prompt="a red zeppelin")
    assert "zeppelin" in (made.model_extra or {})["warnings"][0]


@pytest.mark.parametrize("as_list", [False, True])
def test_an_edit_is_a_manipulation(openai: OpenAI, services: Services, as_list: bool) -> None:
    photo = ("photo.png", png())
    openai.images.edit(image=[photo] if as_list else photo, prompt="a blue bird", model="paper")
    job = only_job(services)
    assert job.task == "manipulate"
    assert stored_photo(services, job.id).size == (40, 30)


def test_an_edit_with_a_mask_fills_what_is_transparent(openai: OpenAI, services: Services) -> None:
    openai.images.edit(
        image=("a.png", png()),
        mask=("m.png", hole_png()),
        prompt="a bird",
    )
    job = only_job(services)
    assert job.task == "inpaint"
    hole = np.asarray(stored_photo(services, job.id, "mask"))[..., 0]
    assert (hole[5:15, 5:15] == 255).all()
    assert hole.sum() == 255 * 100


def test_an_address_works_without_a_key_until_it_expires(
    openai: OpenAI, services: Services, client: TestClient
) -> None:
    made = openai.images.generate(prompt="a bird", response_format="url")
    assert made.data
    url = made.data[0].url or ""
    assert url.startswith("http://127.0.0.1:8000/v1/images/")
    picture = client.get(url)
    assert picture.headers["content-type"] == "image/png"
    assert decode_photo(picture.content).size == (20, 20)

    query = parse_qs(urlsplit(url).query)
    later = url.replace(query["expires"][0], str(int(query["expires"][0]) + 1))
    other = url.replace("/0?", "/1?")
    for changed in (later, other, url[:-1] + ("0" if url[-1] != "0" else "1")):
        answer = client.get(changed)
        assert answer.status_code == 403
        assert "use it unchanged" in answer.json()["error"]["message"]

    services.blobs.delete_prefix(f"jobs/{only_job(services).id}/")
    services.store.expire(only_job(services).id)
    assert client.get(url).status_code == 410


def test_expired_addresses(openai: OpenAI, services: Services, client: TestClient) -> None:
    services.settings.link_ttl = -1
    made = openai.images.generate(prompt="a bird", response_format="url")
    assert made.data
    answer = client.get(made.data[0].url or "")
    assert answer.status_code == 410
    assert "has expired" in answer.json()["error"]["message"]


def test_a_stream_ends_with_the_pictures(openai: OpenAI, services: Services) -> None:
    events = list(openai.images.generate(prompt="a bird", n=2, stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    job = only_job(services)
    for event, record in zip(events, job.images, strict=True):
        assert base64.b64decode(event.b64_json) == services.blobs.get(record.blob)
        assert event.size == "20x20"
    (edited,) = openai.images.edit(image=("a.png", png()), prompt="a bird", stream=True)
    assert edited.type == "image_edit.completed"


def test_the_same_request_twice(openai: OpenAI, services: Services) -> None:
    again: dict[str, Any] = {
        "image": ("a.png", png()),
        "prompt": "a bird",
        "extra_headers": {"Idempotency-Key": "one"},
    }
    first = openai.images.edit(mask=("m.png", hole_png()), **again)
    second = openai.images.edit(mask=("m.png", hole_png()), **again)
    assert first.data == second.data
    other = hole_png(alpha=100)
    assert other != hole_png()
    with pytest.raises(BadRequestError, match="used for another request"):
        openai.images.edit(mask=("m.png", other), **again)
    assert only_job(services).task == "inpaint"


def test_a_job_that_takes_too_long_is_canceled(
    openai: OpenAI, services: Services, painter: Painter
) -> None:
    painter.idle = True
    services.settings.openai_wait = 0.05
    with pytest.raises(InternalServerError, match="were not made within") as caught:
        openai.images.generate(prompt="a bird")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert only_job(services).status is Status.canceled


def test_it_goes_on_for_a_client_that_can_come_back(
    openai: OpenAI, services: Services, painter: Painter
) -> None:
    painter.idle = True
    services.settings.openai_wait = 0.05
    with pytest.raises(InternalServerError, match="were not made within"):
        openai.images.generate(prompt="a bird", extra_headers={"Idempotency-Key": "one"})
    assert only_job(services).status is Status.queued


def test_a_job_that_fails_in_a_stream_is_told_in_it(
    openai: OpenAI, services: Services, painter: Painter, client: TestClient
) -> None:
    painter.failing = True
    with pytest.raises(APIError, match="does not fit"):
        list(openai.images.generate(prompt="a bird", stream=True))
    result = client.post("/v1/images/generations", json={"prompt": "a bird", "stream": True}).text
    data = json.loads(result.split("data: ")[1])
    assert data["error"]["type"] == "server_error"


def test_models(openai: OpenAI) -> None:
    (model,) = openai.models.list()
    assert (model.id, model.object, model.owned_by) == ("paper", "model", "mmml")
    assert model.created > 1_500_000_000
    assert openai.models.retrieve("paper") == model
    with pytest.raises(NotFoundError, match="there are: paper"):
        openai.models.retrieve("gpt-image-2")
