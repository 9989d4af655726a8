"""Errors in OpenAI's shape: what the public client makes of them."""

from __future__ import annotations

from typing import Any

import openai as sdk
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI

from app.gateway.services import Services
from tests.app.conftest import mask_png, png
from tests.app.gateway.conftest import PUBLIC, key_of
from tests.app.gateway.openai.conftest import Painter, hole_png


def error(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"].endswith(".")
    return body["error"]


@pytest.mark.parametrize(
    ("field", "value", "result"),
    [
        ("prompt", "", "describe the picture in words"),
        ("prompt", "a\x00b", "control characters"),
        ("prompt", "bird " * 300, "more than 1000 characters"),
        ("n", 17, "16"),
        ("size", "1024", "WIDTHxHEIGHT"),
        ("size", "8x1024", "sides of 16 to 2048"),
        ("size", "4096x4096", "sides of 16 to 2048"),
        ("size", "1024x1024\n", "WIDTHxHEIGHT"),
        ("fit", "fill", "contain"),
        ("seed", -1, "0"),
        ("quality", "best", "there is one quality only"),
        ("style", "baroque", "say it in the prompt"),
        ("background", "transparent", "always opaque"),
        ("output_format", "gif", "png, jpeg, webp"),
        ("output_compression", 50, "quality 95"),
        ("response_format", "file", "b64_json"),
        ("partial_images", 4, "3"),
        ("svg", {"model": "x"}, "not offered here"),
        ("frame_count", 9, "not offered here"),
        ("palette", "warm", "is not a field"),
    ],
)
def test_a_field_is_refused_by_its_name(
    client: TestClient, field: str, value: object, result: str
) -> None:
    body = {"prompt": "a bird", field: value}
    found = error(client.post("/v1/images/generations", json=body), 400)
    assert found["param"] == field
    assert found["type"] == "invalid_request_error"
    assert field in found["message"]
    assert result in found["message"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/images/generations", "/v1/images/generations"),
        ("/images/edits/", "/v1/images/edits"),
        ("/v1/v1/images/generations", "/v1/images/generations"),
        ("/api/v1/images/edits", "/v1/images/edits"),
        ("/openai/models", "/v1/models"),
    ],
)
def test_routes_at_other_addresses_are_told(client: TestClient, path: str, route: str) -> None:
    answer = client.post(path, json={})
    assert answer.status_code == 404
    assert f"the route is {route}." in answer.text
    assert "the route is" not in client.get("/v1/images/variations").text


def test_models_of_other_names_are_mapped(services: Services, openai: OpenAI) -> None:
    services.settings.openai_models.update({"gpt-image-1": "paper", "dall-e-3": ""})
    for model in ("gpt-image-1", "dall-e-3"):
        made: Any = openai.images.generate(
            prompt="a bird", model=model, style="vivid", quality="hd", n=1, background="auto"
        )
        assert made.data
    with pytest.raises(sdk.NotFoundError, match="paper"):
        openai.images.generate(prompt="a bird", model="dall-e-2")


def test_nulls_are_as_good_as_absent(openai: OpenAI) -> None:
    absent: Any = dict.fromkeys(
        ("model", "n", "size", "quality", "style", "background", "response_format", "stream")
    )
    assert openai.images.generate(prompt="a bird", **absent).data


def test_what_an_edit_refuses(client: TestClient) -> None:
    def post(**fields: str) -> Any:
        return {"data": {"prompt": "a bird", **fields}}

    photo = ("image", ("a.png", png()))
    cases: list[tuple[dict[str, Any], list[Any], str]] = [
        (post(), [], "image is required"),
        (post(image="https://example.com/a.png"), [("mask", hole_png())], "image is not a file"),
        (post(), [photo, ("image[]", png())], "one photo is edited at a time"),
        (post(), [("image[]", png()), ("image[]", png())], "image[] is given twice"),
        (post(size="big"), [photo], "WIDTHxHEIGHT"),
        (post(input_fidelity="high"), [photo], "input_fidelity can't be chosen"),
        (post(), [photo, ("markup", png())], "markup is not offered here"),
        (post(), [photo, ("mask", ("m.png", b""))], "mask is an empty file"),
        (post(), [photo, ("mask", ("", b""))], "mask is not a file"),
        (post(mask=""), [photo], "mask is not a file"),
        (post(), [("image", ("a.png", b""))], "image is an empty file"),
        (post(), [("image[0]", png())], "send the photo as image or image[]"),
        (post(), [photo, ("mask", mask_png())], "save it with the hole erased to alpha 0"),
        (post(), [photo, ("mask", hole_png(50, 50))], "send a mask of the photo's size"),
        (post(), [photo, ("mask", hole_png(alpha=255))], "make the hole transparent"),
        (post(), [("image", b"GIF89a")], "is not a PNG, JPEG or WebP picture"),
        (post(stream="true", response_format="url"), [photo], "stream"),
    ]
    for fields, files, result in cases:
        found = error(client.post("/v1/images/edits", **fields, files=files or {"x": b""}), 400)
        assert result in found["message"], found


def test_bodies_of_another_kind(client: TestClient) -> None:
    for path, result in (("generations", "application/json"), ("edits", "multipart/form-data")):
        answer = client.post(f"/v1/images/{path}", content=b"x", headers={"Content-Type": "a/b"})
        assert result in error(answer, 400)["message"]
    json = {"Content-Type": "application/json"}
    answer = client.post("/v1/images/generations", content=b"{", headers=json)
    assert "not valid JSON" in error(answer, 400)["message"]


def test_models_that_are_not_there(openai: OpenAI) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        openai.images.generate(prompt="a bird", model="gpt-image-2")
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "there are: paper. Leave model out" in str(caught.value)


def test_texts_without_a_known_word(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        openai.images.generate(prompt="zeppelin")
    assert caught.value.code == "no_known_words"


def test_jobs_that_fail(openai: OpenAI, painter: Painter) -> None:
    painter.failing = True
    with pytest.raises(sdk.InternalServerError, match="does not fit") as caught:
        openai.images.generate(prompt="a bird")
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_addresses_and_methods_that_are_not_there(client: TestClient) -> None:
    assert error(client.get("/v1/chat/completions"), 404)["code"] == "not_found"
    assert error(client.get("/v1/images/generations"), 405)["code"] == "method_not_allowed"
    assert error(client.get("/v1/images/x/0"), 400)["param"] in ("expires", "signature")
    assert client.get("/v12").headers["content-type"] == "application/problem+json"


def test_doors(client: TestClient, services: Services) -> None:
    error(client.get("/v1/models", headers={"Host": "elsewhere.example"}), 400)
    error(client.get("/v1/models", headers={"Origin": "https://elsewhere.example"}), 403)
    long = {"Content-Length": str(2**40), "Content-Type": "application/json"}
    answer = client.post("/v1/images/generations", content=b"{}", headers=long)
    assert error(answer, 413)["code"] == "request_too_large"


def test_a_full_service(openai: OpenAI, services: Services, painter: Painter) -> None:
    services.settings.max_queue = 1
    painter.idle = True
    services.settings.openai_wait = 0.01
    with pytest.raises(sdk.InternalServerError) as caught:
        openai.images.generate(prompt="a bird", extra_headers={"Idempotency-Key": "x"})
    assert caught.value.code == "timeout"
    assert "x-should-retry" not in caught.value.response.headers  # it finds the same job
    with pytest.raises(sdk.InternalServerError, match="jobs are waiting") as caught:
        openai.images.generate(prompt="a bird")
    assert caught.value.code == "service_unavailable"


def test_a_caller_with_too_many_waiting_requests(openai: OpenAI, services: Services) -> None:
    services.wait_slots.limit = 0
    with pytest.raises(sdk.RateLimitError, match="waiting already"):
        openai.images.generate(prompt="a bird")


@pytest.fixture
def public(keyed: Services, http: TestClient) -> Any:
    """Makes clients with a key for a service that asks for one."""
    keyed.wakeups = Painter(keyed)
    return lambda key: OpenAI(base_url=f"{PUBLIC}/v1", api_key=key, http_client=http, max_retries=0)


def test_keys_are_the_services_own(public: Any, mine: str, keyed: Services) -> None:
    made = public(mine).images.generate(prompt="a bird", response_format="url")
    (job,), _ = keyed.store.list_jobs(None, 10, None)
    assert job.owner == keyed.authenticator.authenticate(mine, None, "").owner
    assert mine not in made.data[0].url
    with pytest.raises(sdk.AuthenticationError) as caught:
        public("sk-unknown").images.generate(prompt="a bird")
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(sdk.AuthenticationError):
        public("sk-unknown").models.list()


def test_addresses_need_no_key(public: Any, mine: str, http: TestClient) -> None:
    made = public(mine).images.generate(prompt="a bird", response_format="url")
    assert http.get(made.data[0].url).content.startswith(b"\x89PNG")


def test_limits(public: Any, keyed: Services) -> None:
    reader = key_of(keyed, "reader", {"read"})
    with pytest.raises(sdk.PermissionDeniedError, match="synthesize"):
        public(reader).images.generate(prompt="a bird")
    slow = key_of(keyed, "slow", rate="1/hour")
    public(slow).images.generate(prompt="a bird")
    with pytest.raises(sdk.RateLimitError) as caught:
        public(slow).images.generate(prompt="a bird")
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["x-should-retry"] == "false"
    poor = key_of(keyed, "poor", pictures_per_day=1)
    with pytest.raises(sdk.RateLimitError) as caught:
        public(poor).images.generate(prompt="a bird", n=2)
    assert caught.value.code == "insufficient_quota"


def test_the_schema_tells_the_shape_of_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    generation = document["paths"]["/v1/images/generations"]["post"]
    result = generation["responses"]["default"]["content"]["application/json"]["schema"]
    assert result == {"$ref": "#/components/schemas/ErrorResponse"}
    error = document["components"]["schemas"]["ErrorView"]
    assert set(error["properties"]) == {"message", "type", "param", "code"}
    bodies = document["components"]["schemas"]
    assert bodies["GenerationRequest"]["required"] == ["prompt"]
    assert set(bodies["EditRequest"]["required"]) == {"prompt", "image"}
