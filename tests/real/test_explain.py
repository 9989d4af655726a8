"""Explanations, mixes and morphs through every process, by the shipped bundle."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.images import encode
from models.data.aviary.drawing import bird, render
from tests.real.conftest import Service

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
WEIGHTS = Path(__file__).parents[2] / "weights"
ENDS = ["a red bird with a yellow crown", "a blue bird with black wings"]


def pixels(data: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)


def plane(url: str) -> NDArray[np.float32]:
    data = base64.b64decode(url.removeprefix("data:image/png;base64,"), validate=True)
    return np.asarray(Image.open(io.BytesIO(data)), np.float32)


def made(service: Service, **body: Any) -> tuple[dict[str, Any], bytes]:
    """The job and its first picture."""
    response = service.http.post("/synthesize?wait=60", json={"seed": 7, **body}, timeout=90)
    job = response.json()
    assert job["status"] == "succeeded", response.text
    return job, service.http.get(job["images"][0]["url"]).content


def test_words_and_what_lies_between_captions(service: Service) -> None:
    service.start(MMML_WEIGHTS_DIR=str(WEIGHTS))
    service.ready(240)
    an_edit_is_explained_and_erased(service)
    a_synthesis_is_explained(service)
    a_morph_has_its_captions_at_its_ends(service)
    assert service.stop() < 20


def an_edit_is_explained_and_erased(service: Service) -> None:
    http = service.http
    form = {
        "text": "a bird with a zorgly red belly",
        "explain": "true",
        "seed": "7",
        "bundle": "aviary",
    }
    photo = encode(render(bird("test", 3), 256))
    job = http.post("/manipulate?wait=60", data=form, files={"image": photo}, timeout=90).json()
    assert job["status"] == "succeeded", job
    address = job["images"][0]["explanation"]
    result = http.get(address).json()
    words = {w["word"]: w for w in result["words"]}
    assert form["text"][words["red"]["start"] : words["red"]["end"]] == "red"
    assert (words["zorgly"]["known"], words["zorgly"]["maps"]) == (False, {})
    red, bird_map = (plane(words[w]["maps"]["attention"]) for w in ("red", "bird"))
    assert red.shape == (128, 128)
    assert red.max() == bird_map.max() == 255
    assert np.abs(red - bird_map).mean() > 20
    assert {name: plane(url).max() for name, url in result["features"].items()} == {
        "W": 255,
        "b": 255,
    }
    assert http.delete(f"/jobs/{job['id']}").status_code == 204
    assert http.get(address).status_code == 410


def a_synthesis_is_explained(service: Service) -> None:
    job, _ = made(service, text=ENDS[0], explain=True, count=3)
    result = [service.http.get(image["explanation"]).json() for image in job["images"]]
    assert [t["image"] for t in result] == [0, 1, 2]
    maps = [plane(w["maps"]["region"]) for t in result for w in t["words"] if w["word"] == "red"]
    assert (maps[0] != maps[1]).any()  # other pictures have their red elsewhere


def a_morph_has_its_captions_at_its_ends(service: Service) -> None:
    _, strip = made(service, text=ENDS, frames=5, format="png")
    frames = np.split(pixels(strip), 5, axis=1)
    for frame, text in ((frames[0], ENDS[0]), (frames[-1], ENDS[1])):
        assert np.abs(frame - pixels(made(service, text=text)[1])).max() <= 2
    _, mixed = made(service, text=[ENDS[0], {"text": ENDS[1], "weight": 3}])
    assert np.abs(pixels(mixed) - frames[3]).max() <= 2  # three quarters of the way
    job, moving = made(service, text=ENDS, frames=5)
    assert (job["images"][0]["format"], job["images"][0]["frames"]) == ("webp", 5)
    assert Image.open(io.BytesIO(moving)).n_frames == 5  # type: ignore[attr-defined]
