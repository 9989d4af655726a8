"""How texts, options and pictures are sent."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from mmml import Client, MmmlError, UnusablePicture
from mmml.images import encode_image
from tests.app.conftest import png

JOB = {
    "id": "1" * 32,
    "task": "synthesize",
    "status": "succeeded",
    "error": None,
    "warnings": [],
    "input": {"seed": 7, "format": "png"},
    "images": [
        {"index": 0, "url": "/jobs/1/images/0", "explanation": "/jobs/1/images/0/explanation"}
    ],
}


class Recorder:
    """Remembers the last request, and answers with a finished job."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.request = answers, httpx.Request("GET", "http://none")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        name = request.url.path.rpartition("/")[2]
        return httpx.Response(200, json=self.answers.get(name, JOB))

    def client(self) -> Client:
        return Client(transport=httpx.MockTransport(self))


def test_one_text_is_a_form_and_several_are_json() -> None:
    recorder = Recorder()
    recorder.client().synthesize("a bird", explain=True, seed=3)
    assert recorder.request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert recorder.request.read() == b"text=a+bird&explain=true&seed=3"
    texts = ["a red bird", {"text": "a blue bird", "weight": 2.0}]
    recorder.client().submit("synthesize", texts, frames=8, seed=None)
    assert json.loads(recorder.request.read()) == {"text": texts, "frames": 8}


def test_every_submission_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMML_API_KEY", "mmml_x")
    recorder, keys = Recorder(), set()
    for _ in range(2):
        recorder.client().manipulate(png(), "a bird")
        keys.add(recorder.request.headers["idempotency-key"])
        assert recorder.request.headers["authorization"] == "Bearer mmml_x"
    assert len(keys) == 2


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_images_of_every_mode_are_sent_as_png(mode: str) -> None:
    sent = encode_image(Image.new(mode, (3, 2)))
    assert isinstance(sent, bytes)
    with Image.open(io.BytesIO(sent)) as picture:
        assert (picture.format, picture.size) == ("PNG", (3, 2))


def test_texts_that_stand_for_pictures() -> None:
    assert encode_image((1, 2, 3, 4)) == "1,2,3,4"
    assert encode_image("alpha") == "alpha"
    assert encode_image("/jobs/1/images/0") == "/jobs/1/images/0"


def test_pictures_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnusablePicture, match=r"There is no file nothing\.png"):
        encode_image("nothing.png")
    with pytest.raises(UnusablePicture, match="no file"):
        encode_image(tmp_path)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_another_server_at_the_address(body: bytes) -> None:
    other = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with pytest.raises(MmmlError, match=r"at http://127\.0\.0\.1:1/models is no mmml service"):
        Client("http://127.0.0.1:1", transport=other).models()


def test_explanations_are_images() -> None:
    grey = io.BytesIO()
    Image.new("L", (4, 2), 255).save(grey, "PNG")
    url = "data:image/png;base64," + base64.b64encode(grey.getvalue()).decode()
    place = {"text": 0, "word": "red", "start": 2, "end": 5}
    word = {**place, "known": True, "peak": 0.5, "maps": {"region": url}}
    answer = {"image": 0, "method": "fake", "words": [word], "features": {"W": url}}
    job = Recorder(explanation=answer).client().synthesize("a red bird", explain=True)
    explained = job.explanation(0)
    found = explained.words[0]
    assert (found.word, found.text, found.end, found.peak) == ("red", 0, 5, 0.5)
    assert explained.words[0].maps["region"].getpixel((3, 1)) == 255
    assert explained.features["W"].size == (4, 2)
    with pytest.raises(MmmlError, match="explain=True"):
        job.explanation(1)
