"""Bodies are bounded before anything is made of them, and large ones don't hold up the others."""

from __future__ import annotations

import base64
import threading
import time

import pytest
from fastapi.testclient import TestClient

from app.gateway.problems import Problem
from app.gateway.services import Services
from app.gateway.uploads import parse_json
from tests.picture_files import photo, png, saved


@pytest.mark.parametrize(
    "body", [b"[" * 50_000, b"{" * 30_000, b'{"a": [' + b"1," * 20_000, b'"":' * 20_001]
)
def test_json_of_many_values_is_refused_before_it_is_parsed(body: bytes) -> None:
    with pytest.raises(Problem, match="far more values"):
        parse_json(body)


def test_an_answer_lists_ten_errors_at_most(client: TestClient) -> None:
    fields = {f"{k}" * 400: "x" * 1000 for k in range(20)}
    answer = client.post("/synthesize", json={"text": "a bird", **fields})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 10
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("path", ["/synthesize", "/v1/images/generations"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_pictures_is_small(client: TestClient, path: str, chunked: bool) -> None:
    body = b'{"text": "' + b"a" * 10**6 + b'"}'
    parts = (body[k : k + 9999] for k in range(0, len(body), 9999))
    answer = client.post(
        path, content=parts if chunked else body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert "128 kB" in answer.text


def test_text_in_a_form_without_pictures_is_small(client: TestClient) -> None:
    answer = client.post("/synthesize", files={"text": (None, "a" * 10**6)})
    assert answer.status_code == 400
    assert "128KB" in answer.text


def test_eight_long_texts_fit_however_they_are_escaped(client: TestClient) -> None:
    text = "a red bird " + "\N{BIRD}" * 900
    assert client.post("/synthesize", json={"text": [text] * 8}).status_code == 202


def test_large_base64_is_decoded_while_others_are_answered(
    client: TestClient, services: Services
) -> None:
    """With the decoders taken, a request with a large picture waits, and only that one."""
    assert client.portal
    for other in ("one", "two"):
        client.portal.call(services.decoders.limiter.acquire_on_behalf_of_nowait, other)
    image = base64.b64encode(saved(photo(1100, 1100))).decode()
    answers = []

    def send() -> None:
        answers.append(client.post("/manipulate", json={"text": "a red bird", "image": image}))

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.2)
    assert client.get("/healthz").status_code == 200
    assert not answers
    client.portal.call(services.decoders.limiter.release_on_behalf_of, "one")
    thread.join(20)
    assert answers[0].status_code == 202


def test_base64_that_was_not_percent_encoded(client: TestClient) -> None:
    """As 'curl -d image=$(base64 photo.png)' sends it: every plus arrives as a space."""
    data = base64.b64encode(png() + b"\xfb\xef\xbe" * 90).decode()
    assert "+" in data
    answer = client.post(
        "/manipulate",
        content=f"text=a+bird&image={data}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "body", ["text=a grüner bird", "text=a+gr%C3%BCner+bird", "text=a gr%C3%BCner+bird"]
)
def test_text_of_a_form_is_utf_8(client: TestClient, body: str) -> None:
    """'curl -d' sends it as it is, HTTP libraries percent-encode it."""
    answer = client.post(
        "/synthesize",
        content=body.encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["input"]["text"] == "a grüner bird"


def test_names_and_values_of_a_form_without_text_are_kept(client: TestClient) -> None:
    """As a browser reads them: an empty value, a name alone, a further equals sign."""
    answer = client.post(
        "/synthesize",
        content=b"text=a+bird+%3D+x=y&seed=&bundle",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["input"]["text"] == "a bird = x=y"
