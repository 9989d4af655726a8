"""SISGAN, TAGAN and AttnGAN through the service: their own pixels, samples, explanations."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.images import encode
from models.pipeline import Item
from models.registry import load
from tests.models.checkpoints.published import Case, a_photo
from tests.models.tiny import SIZE, task_of, tiny_method
from tests.real.conftest import Service
from tests.real.official_pictures import fetch

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
METHODS = ("attngan", "sisgan", "tagan")
TEXT = "a red bird"


def send(service: Service, method: str, **fields: Any) -> Any:
    """The answer of a finished job."""
    task = task_of(method)
    data = {"text": TEXT, "bundle": method, "method": method, "seed": "5", **fields}
    files = {}
    if task == "manipulate":
        files = {"image": ("a.png", encode(Image.fromarray(a_photo(SIZE, 1))))}
    return service.http.post(f"/{task}?wait=60", data=data, files=files or None)


@pytest.fixture
def serving(service: Service) -> Service:
    for method in METHODS:
        tiny_method(service.weights / method, method)
    service.start(MMML_PRECISION="float32")
    service.ready()
    return service


def test_they_serve_their_own_pixels_samples_and_explanations(serving: Service) -> None:
    for method in METHODS:
        task, photo = task_of(method), a_photo(SIZE, 1)
        pictures = {"image": photo} if task == "manipulate" else {}
        pipeline = load(serving.weights / method, task, method, "cpu")
        item = Item(TEXT, 5, 0, {k: Image.fromarray(v) for k, v in pictures.items()})
        (picture,) = pipeline.run([item]).pictures
        expected = np.asarray(picture)
        case = Case(task, method, {"text": TEXT, "seed": "5", "method": method}, pictures, expected)
        found = fetch(serving.http, case, bundle=method)
        assert np.abs(found.astype(int) - expected).max() <= 1, method
        job = send(serving, method, count="3").json()
        assert job["status"] == "succeeded", job
        urls = [image["url"] for image in job["images"]]
        assert len({serving.http.get(url).content for url in urls}) == 3, method
    for method, maps in (("tagan", []), ("attngan", [f"attention{SIZE // 2}"])):
        job = send(serving, method, explain="true").json()
        told = serving.http.get(f"/jobs/{job['id']}/images/0/explanation").json()
        assert [list(word["maps"]) for word in told["words"]] == [maps] * 3, method
        assert all(0 < word["peak"] <= 1 for word in told["words"])
    refused = send(serving, "sisgan", explain="true")
    assert refused.status_code == 422
    assert "explains no edits by sisgan" in refused.text
