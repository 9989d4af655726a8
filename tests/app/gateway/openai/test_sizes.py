"""Images have the ``size`` of their request, and warnings say how they were scaled to it."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI
from PIL import Image

from app.gateway.openai.scaling import TargetSize, stored_or_scaled
from app.gateway.services import Services
from jobs.images import encode
from jobs.job import ImageRecord
from tests.app.conftest import png
from tests.app.gateway.openai.test_images import only_job

# The painter's pictures are 20x20, of this colour.
COLOUR = (0, 100, 200)


def pixels(made: Any, number: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = base64.b64decode(made.data[number].b64_json)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("size", ["1024x1024", "256x256", "1536x1024", "1024x1792"])
def test_a_generation_is_as_large_as_was_asked_for(openai: OpenAI, size: str) -> None:
    made = openai.images.generate(prompt="a bird", n=2, size=size)  # type: ignore[call-overload]
    width, height = map(int, size.split("x"))
    for number, blue in enumerate((0, 1)):
        found = pixels(made, number)
        assert found.shape == (height, width, 3)
        assert (found == (blue, 100, 200)).all()
    assert made.size == size
    assert f"made as 20x20 and scaled to {size}" in made.warnings[-1]


@pytest.mark.parametrize(
    ("size", "side"), [("64x64", 64), ("96x40", 128), ("256x256", 256), ("1024x1024", 256)]
)
def test_it_is_made_as_large_as_the_bundle_can(
    fine: str, openai: OpenAI, services: Services, size: str, side: int
) -> None:
    openai.images.generate(prompt="a bird", model=fine, size=size)  # type: ignore[call-overload]
    assert only_job(services).request["size"] == side


def test_another_aspect_is_cut_or_framed(openai: OpenAI) -> None:
    def ask(**more: Any) -> Any:
        return openai.images.generate(prompt="a bird", size="80x40", **more)  # type: ignore[call-overload]

    cut, framed = ask(), ask(extra_body={"fit": "contain"})
    assert (pixels(cut) == COLOUR).all()
    assert "cut to that shape" in cut.warnings[-1]
    assert (pixels(framed)[:, 20:60] == COLOUR).all()
    assert (pixels(framed)[:, [0, 19, 60, 79]] == 0).all()
    assert "between black bars" in framed.warnings[-1]


@pytest.mark.parametrize("size", ["auto", "", "20x20", None])
def test_what_has_that_size_is_as_it_was_made(
    openai: OpenAI, services: Services, size: str | None
) -> None:
    made: Any = openai.images.generate(prompt="a bird", size=size)  # type: ignore[call-overload]
    (record,) = only_job(services).images
    assert base64.b64decode(made.data[0].b64_json) == services.blobs.get(record.blob)
    assert made.size == "20x20"
    assert not made.warnings


def test_an_edit_is_scaled_too(openai: OpenAI) -> None:
    made = openai.images.edit(image=("a.png", png()), prompt="a bird", size="512x512")
    assert pixels(made).shape == (512, 512, 3)


def test_addresses_and_streams_are_of_that_size(openai: OpenAI, client: TestClient) -> None:
    made = openai.images.generate(
        prompt="a bird", size="512x512", response_format="url", output_format="png"
    )
    assert made.data
    url = httpx.URL(made.data[0].url or "")
    answer = client.get(str(url))
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (512, 512)
    for changed in ({"size": "2048x2048"}, {"fit": "contain"}):
        assert client.get(str(url.copy_merge_params(changed))).status_code == 403
    assert client.get(str(url.copy_remove_param("size"))).status_code == 403
    assert urlsplit(str(url)).query.count("size=") == 1

    (event,) = openai.images.generate(prompt="a bird", size="512x512", stream=True)
    assert event.size == "512x512"
    assert Image.open(io.BytesIO(base64.b64decode(event.b64_json))).size == (512, 512)


@pytest.mark.parametrize("extension", ["jpeg", "webp"])
def test_the_format_stays(services: Services, extension: str) -> None:
    key = f"jobs/x/out/0.{extension}"
    services.blobs.put(key, encode(Image.new("RGB", (20, 20), COLOUR), extension))
    record = ImageRecord(
        index=0, seed=0, width=20, height=20, sha256="0" * 64, blob=key, format=extension
    )
    data = asyncio.run(stored_or_scaled(services, record, TargetSize(64, 32), "somebody"))
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == (extension.upper(), (64, 32))
