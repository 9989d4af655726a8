"""How texts, options and pictures are sent."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from jobs.images import decode_photo
from mmml import Client, Job, MmmlError, Refused, UnusablePicture
from mmml.requests import encode_image
from tests.app.conftest import png
from tests.picture_files import exif, grey_profile, rgb_profile, saved

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


def sent_as(image: Any) -> np.ndarray:
    """What the service makes of it."""
    sent = encode_image(image)
    assert isinstance(sent, bytes)
    return np.asarray(decode_photo(sent), np.int16)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


STEPS = Image.fromarray(np.arange(20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8))
PROFILE = rgb_profile((0.61, 0.31, 0.02), (0.2, 0.63, 0.07), (0.15, 0.06, 0.74))
DEEP = Image.fromarray((np.arange(600).reshape(20, 30) * 100).astype(np.uint16))


@pytest.mark.parametrize(
    "data",
    [
        saved(STEPS, "JPEG", exif=exif(6)),
        saved(STEPS, "WEBP", lossless=True, exif=exif(3)),
        saved(STEPS, icc_profile=PROFILE, exif=exif(8)),
        saved(STEPS.convert("RGBA"), icc_profile=PROFILE),
        saved(STEPS.convert("L"), icc_profile=grey_profile(1.0)),
        saved(STEPS.quantize(8), icc_profile=PROFILE, transparency=1),
        saved(STEPS.convert("CMYK"), "JPEG", exif=exif(5)),
        saved(STEPS.convert("CMYK"), "JPEG", icc_profile=PROFILE),
        saved(DEEP),
        saved(DEEP, transparency=500),
        saved(STEPS.convert("LA")),
    ],
)
def test_a_file_and_its_pil_image_are_the_same_picture(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    file = io.BytesIO(data)
    file.read()
    for image in (data, bytearray(data), tmp_path / "a", str(tmp_path / "a"), file):
        assert encode_image(image) == data
    with (tmp_path / "a").open("rb") as handle:
        assert encode_image(handle) == data
    assert np.array_equal(sent_as(opened(data)), sent_as(data))
    turned = ImageOps.exif_transpose(opened(data))  # turning it oneself turns it once
    assert np.array_equal(sent_as(turned), sent_as(data))


@pytest.mark.parametrize("mode", ["La", "RGBa", "F", "I", "I;16", "YCbCr", "HSV", "LAB", "RGBX"])
def test_modes_that_no_file_has(mode: str) -> None:
    grey = Image.linear_gradient("L").resize((32, 32))
    source = grey.convert(
        {"La": "LA", "RGBa": "RGBA", "F": "L", "I": "L", "I;16": "L"}.get(mode, "RGB")
    )
    made = (
        ImageCms.profileToProfile(
            source, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        if mode == "LAB"
        else source.convert(mode)
    )
    assert made
    if mode != "I;16":  # which is of 16 bits, whatever it was made of
        assert np.abs(sent_as(made)[..., 0] - np.asarray(grey, np.int16)).max() <= 4


def test_arrays_are_pictures() -> None:
    assert np.array_equal(sent_as(np.asarray(STEPS)), np.asarray(STEPS))
    assert np.array_equal(sent_as(np.asarray(DEEP)), sent_as(saved(DEEP)))
    hole = np.zeros((20, 30), bool)
    hole[5:9, 5:9] = True
    assert np.array_equal(sent_as(hole)[..., 0] == 255, hole)
    for wrong in (np.zeros((20, 30)), np.zeros((3, 20, 30), np.uint8), np.zeros(9, np.uint8)):
        with pytest.raises(UnusablePicture, match="is no image; use height × width"):
            encode_image(wrong)
    with pytest.raises(UnusablePicture, match="NoneType is no image"):
        encode_image(None)
    with pytest.raises(UnusablePicture, match="mode 'rb'"):
        encode_image(io.StringIO("a"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["https://elsewhere.example/0.png", "//elsewhere.example/0", "0.png"]
)
def test_the_key_stays_with_the_service(url: str) -> None:
    recorder = Recorder(synthesize={**JOB, "images": [{"index": 0, "url": url}]})
    job = Client(transport=httpx.MockTransport(recorder), api_key="mmml_x").synthesize("a bird")
    recorder.answers[job.id] = job.record
    with pytest.raises(MmmlError, match="not one of its own addresses"):
        job.wait()


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


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a.png",
        "//evil.example/a.png",
        "http:/a.png",
        "a.png",
        "@evil.example/a.png",
    ],
)
def test_a_key_goes_to_its_own_service_alone(url: str) -> None:
    sent = list[httpx.Request]()

    def service(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        image = {"index": 0, "url": url, "explanation": url}
        return httpx.Response(200, json={"id": "a", "status": "succeeded", "images": [image]})

    with Client("http://127.0.0.1", api_key="k", transport=httpx.MockTransport(service)) as client:
        job = client.job("a")
        for follow in (job.wait, job.explanation):
            with pytest.raises(MmmlError, match="not one of its own addresses"):
                follow()
    assert {request.url.host for request in sent} == {"127.0.0.1"}


@pytest.mark.parametrize("status", [301, 307, 308])
def test_an_address_that_leads_on_is_no_answer(status: int, tmp_path: Path) -> None:
    """Such as that of a proxy which wants https: nothing is deleted there, nothing is a picture."""

    def moved(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"location": "https://mmml.example/"})

    client = Client(transport=httpx.MockTransport(moved))
    job = Job(client, JOB)
    for ask in (
        client.models,
        lambda: client.delete("1"),
        lambda: list(client.events("1")),
        lambda: client.save_batch("batch_1", tmp_path / "all.zip"),
        job.explanation,
    ):
        with pytest.raises(Refused, match=r"leads on to https://mmml\.example/; is the URL right"):
            ask()
    assert not list(tmp_path.iterdir())


def test_a_key_from_a_file_ends_with_its_line() -> None:
    recorder = Recorder()
    Client(transport=httpx.MockTransport(recorder), api_key="mmml_x\n").models()
    assert recorder.request.headers["authorization"] == "Bearer mmml_x"


def test_what_no_request_can_hold_is_said() -> None:
    for key in ("mmml_\nx", "ключ"):
        with pytest.raises(MmmlError, match="The API key may hold only") as caught:
            Client(api_key=key)
        assert key not in str(caught.value)
    client = Client(transport=httpx.MockTransport(Recorder()))
    with pytest.raises(MmmlError, match="Idempotency-Key may hold only"):
        client.synthesize("a bird", idempotency_key="Vögel\n")
    with pytest.raises(MmmlError, match="is no address"):
        client.job("a\nb")
    for text in ("a \udcff bird", ["a bird", "a \udcff bird"]):  # forms, and JSON
        with pytest.raises(MmmlError, match="half of a surrogate pair"):
            client.synthesize(text)
    with pytest.raises(MmmlError, match="half of a surrogate pair"):
        client.job("\udcff")
    with pytest.raises(MmmlError, match="half of a surrogate pair"):
        client.manipulate(Image.new("RGB", (16, 16)), "a \udcff bird")
    for url in ("http://[::1", "http://localhost:80x"):
        with pytest.raises(MmmlError, match="is no address of a service: Invalid port"):
            Client(url)


@pytest.mark.parametrize("kind", ["png", "gif", "webp"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp"])
def test_saved_in_any_format(kind: str, suffix: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (16, 16), "red")
    picture.paste("blue", (0, 0, 8, 16))
    images = [{"index": 0, "url": "/jobs/1/images/0", "format": kind}]
    job = Job(Client(), {**JOB, "images": images})
    job._pictures = [saved(picture, kind.upper())]
    [path] = job.save(tmp_path / f"bird.{suffix}")
    with Image.open(path) as found:
        pixel = found.convert("RGB").getpixel((12, 8))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, (255, 0, 0), strict=True)) < 12
