"""Submitting: what is accepted, in every form, and what is refused, with which sentence."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.gateway.services import Services
from jobs.images import encode
from tests.app.conftest import mask_png, png, stored_photo, succeed
from tests.moves import claimed
from tests.services import LocalClient


def post(client: TestClient, **body: Any) -> Any:
    return client.post("/synthesize", json={"text": "a red bird", **body})


def detail(response: Any, status: int) -> str:
    """The sentence of a problem, after checking its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"] == "Unprocessable Content" or (status != 422 and problem["title"])
    return str(problem["detail"])


def test_accepted_job_is_recorded_then_sent(client: TestClient, services: Services) -> None:
    response = post(client, seed=7, count=2)
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/jobs/{job['id']}" == job["links"]["self"]
    assert response.headers["retry-after"] == "1"
    assert job["status"] == "queued"
    assert job["queue_position"] == 0
    assert job["input"] == {
        "text": "a red bird",
        "seed": 7,
        "count": 2,
        "bundle": "paper",
        "method": "fake",
        "format": "png",
        "explain": False,
        "noise_scale": 1.0,
        "candidates": 1,
    }
    assert [held.job.id for held in claimed(services.store)] == [job["id"]]


def test_a_seed_is_drawn_and_returned(client: TestClient) -> None:
    seeds = {post(client).json()["input"]["seed"] for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= s < 2**32 for s in seeds)


class Counted:
    """Wake-ups that go nowhere."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send(self, count: int) -> None:
        self.sent.append(count)


def test_a_worker_is_woken_for_a_job(client: TestClient, services: Services) -> None:
    services.wakeups = counted = Counted()
    services.store.heartbeat("w", {}, 60)
    post(client)
    post(client)  # behind the first, which has woken it
    assert counted.sent == [1, 0]


def test_a_priority_is_the_jobs_not_the_networks(client: TestClient, services: Services) -> None:
    jobs = [post(client, priority=wanted).json() for wanted in ("low", "high", "normal")]
    assert [job["priority"] for job in jobs] == ["low", "high", "normal"]
    assert "priority" not in jobs[0]["input"]
    order = [held.job.id for held in claimed(services.store)]
    assert order == [jobs[1]["id"], jobs[2]["id"], jobs[0]["id"]]
    assert "priority" in detail(post(client, priority="urgent"), 422)


def test_forms_say_the_same_as_json(client: TestClient) -> None:
    response = client.post(
        "/synthesize", data={"text": "a red bird", "seed": "7", "count": "3", "bundle": ""}
    )
    assert response.status_code == 202
    assert response.json()["input"]["count"] == 3
    multipart = client.post("/synthesize", data={"text": "a bird"}, files={"ignored": ("", b"")})
    assert multipart.status_code == 202


def test_unknown_words_are_named(client: TestClient) -> None:
    job = post(client, text="a zorgly bird with the mega crown").json()
    assert job["warnings"] == ["Unknown words were left out: zorgly, mega."]


def test_long_captions_are_cut_with_a_warning(client: TestClient) -> None:
    job = post(client, text="red " * 20).json()
    assert "longer than the 12 words" in job["warnings"][0]
    assert "last 8" in job["warnings"][0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": ""}, "text is empty"),
        ({"text": " \n "}, "describe the picture"),
        ({"text": "x" * 2000}, "more than 1000 characters; shorten it"),
        (
            {"text": "red " + "\u0958" * 600},
            "more than 1000 characters; shorten it",
        ),  # NFC: two each
        ({"text": "a\x00 bird"}, "control characters"),
        ({"text": "qwertz 小鸟 🐦"}, "knows no word of this text"),
        ({"seed": -1}, "seed"),
        ({"count": 17}, "count"),
        ({"count": "many"}, "count"),
        ({"format": "gif"}, "format"),
        ({"bundle": "nope"}, "No bundle 'nope' offers synthesize; there are: paper"),
        ({"method": "telea"}, "does not offer method 'telea'; there are: fake"),
        ({"colour": "red"}, "colour is not a field"),
        ({"text": ["a"]}, "text"),
        ({"size": 100}, "size must be 64, 128 or 256"),
        ({"size": "64"}, "size must be a whole number"),
        ({"size": 128}, "makes pictures of up to 64 pixels, not 128; ask for a smaller size"),
    ],
)
def test_what_can_not_be_used_is_422(client: TestClient, body: dict[str, Any], words: str) -> None:
    assert words in detail(post(client, **body), 422)


def test_a_bundle_with_a_detail_stage_makes_larger_pictures(fine: str, client: TestClient) -> None:
    assert post(client, bundle=fine, size=256).json()["input"]["size"] == 256
    form = client.post("/synthesize", data={"text": "a bird", "bundle": fine, "size": "128"})
    assert form.json()["input"]["size"] == 128


def test_an_edit_may_have_any_size(client: TestClient) -> None:
    fields = {"text": "a red bird", "size": "256"}
    response = client.post("/manipulate", data=fields, files={"image": png()})
    assert response.json()["input"]["size"] == 256


def test_missing_text(client: TestClient) -> None:
    assert "text" in detail(client.post("/synthesize", json={}), 422)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"hello", "text/plain", 415),
        (b"", "", 415),
        (b"--x", "multipart/form-data", 400),
    ],
)
def test_unreadable_bodies(client: TestClient, content: bytes, kind: str, status: int) -> None:
    headers = {"content-type": kind} if kind else {}
    detail(client.post("/synthesize", content=content, headers=headers), status)


def test_unknown_addresses_and_methods_are_problems(client: TestClient) -> None:
    assert "/docs" in detail(client.get("/nothing"), 404)
    assert "method" in detail(client.get("/synthesize"), 405)


def test_manipulate_takes_a_file(client: TestClient, services: Services) -> None:
    response = client.post("/manipulate", data={"text": "a red bird"}, files={"image": png()})
    assert response.status_code == 202, response.text
    assert stored_photo(services, response.json()["id"]).getpixel((1, 1)) == (200, 30, 40)


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_manipulate_takes_json(client: TestClient, services: Services, prefix: str) -> None:
    image = prefix + base64.b64encode(png()).decode()
    response = client.post("/manipulate", json={"text": "a red bird", "image": image})
    assert response.status_code == 202, response.text
    assert stored_photo(services, response.json()["id"]).size == (40, 30)


def test_base64_of_a_jpeg_is_no_address(client: TestClient, services: Services) -> None:
    image = base64.b64encode(encode(Image.new("RGB", (20, 17)), "jpeg")).decode()
    assert image.startswith("/")
    response = client.post("/manipulate", json={"text": "a red bird", "image": image})
    assert response.status_code == 202, response.text
    assert stored_photo(services, response.json()["id"]).size == (20, 17)


def test_an_earlier_image_can_be_an_input(client: TestClient, services: Services) -> None:
    first = post(client).json()["id"]
    early = client.post("/manipulate", json={"text": "a bird", "image": f"/jobs/{first}/images/0"})
    assert "not finished" in detail(early, 409)
    succeed(services, first)
    for address in (f"/jobs/{first}/images/0", f"http://127.0.0.1:8000/jobs/{first}/images/0"):
        response = client.post("/manipulate", data={"text": "a red bird", "image": address})
        assert response.status_code == 202, response.text
        assert stored_photo(services, response.json()["id"]).getpixel((1, 1)) == (0, 100, 200)
    missing = client.post(
        "/manipulate", json={"text": "a bird", "image": f"/jobs/{first}/images/9"}
    )
    assert "no image 9" in detail(missing, 422)


def test_other_addresses_are_never_fetched(client: TestClient) -> None:
    response = client.post(
        "/manipulate", json={"text": "a bird", "image": "http://169.254.169.254/x.png"}
    )
    assert "only images of this service" in detail(response, 422)


def test_missing_photo(client: TestClient) -> None:
    assert "image is missing" in detail(client.post("/manipulate", data={"text": "a bird"}), 422)


def test_broken_uploads_are_refused_at_the_door(client: TestClient) -> None:
    cases = [(png()[:60], 422), (b"<svg/>", 415), (b"<html>", 415)]
    for data, status in cases:
        response = client.post(
            "/manipulate", data={"text": "a bird"}, files={"image": ("bird.png", data)}
        )
        detail(response, status)


def test_inpaint_stores_a_binary_mask(client: TestClient, services: Services) -> None:
    files = {"image": png(), "mask": mask_png()}
    response = client.post("/inpaint", data={"text": "a red bird"}, files=files)
    assert response.status_code == 202, response.text
    mask = np.asarray(stored_photo(services, response.json()["id"], "mask"))[..., 0]
    assert mask.sum() == 255 * 100


@pytest.mark.parametrize("box", ["5,5,10,10", [5, 5, 10, 10]])
def test_a_box_is_a_mask(client: TestClient, services: Services, box: object) -> None:
    image = base64.b64encode(png()).decode()
    response = client.post("/inpaint", json={"text": "a red bird", "image": image, "mask": box})
    assert response.status_code == 202, response.text
    mask = np.asarray(stored_photo(services, response.json()["id"], "mask"))[..., 0]
    assert mask.sum() == 255 * 100


def test_the_photos_own_alpha_is_a_mask(client: TestClient, services: Services) -> None:
    from io import BytesIO

    from PIL import Image

    photo = Image.new("RGBA", (40, 30), (1, 2, 3, 255))
    photo.paste((0, 0, 0, 0), (0, 0, 10, 10))
    buffer = BytesIO()
    photo.save(buffer, "PNG")
    response = client.post(
        "/inpaint", data={"text": "a red bird", "mask": "alpha"}, files={"image": buffer.getvalue()}
    )
    assert response.status_code == 202, response.text
    mask = np.asarray(stored_photo(services, response.json()["id"], "mask"))[..., 0]
    assert mask.sum() == 255 * 100


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (mask_png(30, 30), "mask of the photo's size"),
        (png(40, 30, "L", 0), "all black"),
        (png(40, 30, "L", 255), "all white"),
        (b"nonsense", "not a PNG"),
    ],
)
def test_unusable_masks(client: TestClient, mask: bytes, words: str) -> None:
    response = client.post(
        "/inpaint", data={"text": "a bird"}, files={"image": png(), "mask": mask}
    )
    assert response.status_code in (415, 422)
    assert words in response.json()["detail"]


def test_too_large_bodies_are_413(services: Services) -> None:
    from app.gateway.server import create_app

    settings = services.settings.model_copy(update={"max_body": 1000})
    with LocalClient(create_app(settings, services)) as small:
        declared = small.post("/manipulate", data={"text": "a bird"}, files={"image": b"x" * 5000})
        assert "larger than" in detail(declared, 413)
        chunked = small.post(
            "/synthesize",
            content=iter([b"x" * 600] * 5),
            headers={"content-type": "application/json"},
        )
        assert detail(chunked, 413)


def test_a_full_queue_is_503(services: Services) -> None:
    from app.gateway.server import create_app

    settings = services.settings.model_copy(update={"max_queue": 1})
    services.settings = settings
    with LocalClient(create_app(settings, services)) as full:
        assert post(full).status_code == 202
        response = post(full)
        assert "Try again in 30 s" in detail(response, 503)
        assert response.headers["retry-after"]


@pytest.mark.parametrize(
    "how", [{"params": {"wait": 10}}, {"headers": {"prefer": "respond-async, wait=10"}}]
)
def test_waiting_returns_the_finished_job(
    client: TestClient, work: Callable[..., None], how: Any
) -> None:
    work()
    started = time.monotonic()
    response = client.post("/synthesize", json={"text": "a bird"}, **how)
    assert time.monotonic() - started < 3
    assert response.status_code == 200
    assert response.json()["status"] == "succeeded"
    assert response.headers["preference-applied"] == "wait=10"


def test_waiting_in_vain_returns_202(client: TestClient) -> None:
    response = client.post("/synthesize", json={"text": "a bird"}, params={"wait": 0.1})
    assert response.status_code == 202
    assert response.json()["status"] == "queued"


def test_waiting_with_accept_returns_the_picture(
    client: TestClient, work: Callable[..., None]
) -> None:
    work()
    response = client.post(
        "/synthesize", json={"text": "a bird"}, params={"wait": 10}, headers={"accept": "image/png"}
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")


def test_a_canceled_job_is_no_fault_of_the_server(client: TestClient, services: Services) -> None:
    services.store.heartbeat("w", {}, 15)
    headers = {"idempotency-key": "order-4711", "accept": "image/png"}
    asked = {"json": {"text": "a bird"}, "params": {"wait": 0.1}, "headers": headers}
    job_id = client.post("/synthesize", **asked).json()["id"]
    client.post(f"/jobs/{job_id}/cancel").raise_for_status()
    assert "was canceled" in detail(client.post("/synthesize", **asked), 409)


@pytest.mark.parametrize("accept", ["image/png", "application/json"])
def test_who_wants_a_picture_waits_for_the_first_worker(
    client: TestClient, work: Callable[..., None], accept: str
) -> None:
    work()
    asked = {"params": {"wait": 0.01}, "headers": {"accept": accept}}
    response = client.post("/synthesize", json={"text": "a bird"}, **asked)
    wanted = accept.startswith("image")
    assert response.status_code == (200 if wanted else 202)
    assert response.headers["content-type"] == accept
    assert response.headers["preference-applied"] == f"wait={60 if wanted else 0.01}"


def test_once_a_worker_was_seen_waits_are_as_asked(client: TestClient, services: Services) -> None:
    services.store.heartbeat("w", {}, 15)
    asked = {"params": {"wait": 0.01}, "headers": {"accept": "image/png"}}
    response = client.post("/synthesize", json={"text": "a bird"}, **asked)
    assert response.status_code == 202


def test_bad_wait(client: TestClient) -> None:
    assert "wait must be a number" in detail(client.get("/jobs/x", params={"wait": "soon"}), 422)
