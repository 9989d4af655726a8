"""What holds for every caption, mask, form and file, not only for those somebody thought of.

``pytest --hypothesis-profile=chaos`` tries thousands of each.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.gateway.server import create_app
from app.settings import GatewaySettings
from jobs.captions import Vocabulary, tokenize
from jobs.errors import ImageProblem
from jobs.images import decode_photo
from jobs.masks import alpha_mask, box_mask, check_mask, decode_mask
from tests.conftest import WORDS, write_paper_bundle
from tests.picture_files import animation, exif, mask, photo, png, saved
from tests.services import LocalClient, connected


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[TestClient]:
    weights: Path = tmp_path_factory.mktemp("weights")
    write_paper_bundle(weights / "paper")
    settings = GatewaySettings(weights_dir=weights, max_queue=10**6, max_active=10**6)
    app = create_app(settings, connected(settings, valkey))
    with LocalClient(app, raise_server_exceptions=False) as made:
        yield made


def post_json(http: TestClient, path: str, body: object) -> Any:
    """Also what no JSON library would write: halves of characters, numbers that are none."""
    content = json.dumps(body).encode()
    return http.post(path, content=content, headers={"Content-Type": "application/json"})


def accepted_or_told(response: Any) -> dict[str, Any] | None:
    """The job, or None after a look at the problem."""
    if response.status_code == 202:
        return dict(response.json())
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    result = response.json()
    assert result["status"] == response.status_code
    assert result["detail"].endswith(".")
    return None


ANY_TEXT = st.text(st.characters(), max_size=1100)
KNOWN = st.sampled_from(WORDS[1:])
BETWEEN = st.sampled_from([" ", "  ", ", ", "\n", " — ", "! "])


@given(text=ANY_TEXT)
def test_captions_are_taken_clean_or_refused(http: TestClient, text: str) -> None:
    job = accepted_or_told(post_json(http, "/synthesize", {"text": text}))
    if job:
        taken = job["input"]["text"]
        assert taken == unicodedata.normalize("NFC", " ".join(taken.split()))
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in taken)


@given(words=st.lists(st.tuples(KNOWN, BETWEEN), min_size=1, max_size=12))
def test_known_words_need_no_warning(http: TestClient, words: list[tuple[str, str]]) -> None:
    text = "".join(word.upper() + gap for word, gap in words)
    job = accepted_or_told(post_json(http, "/synthesize", {"text": text}))
    assert job
    assert not any("Unknown words" in warning for warning in job["warnings"]) or "—" in text


@given(text=ANY_TEXT, tokenizer=st.sampled_from(["regexp", "treebank"]))
def test_words_are_ascii_and_counted(text: str, tokenizer: str) -> None:
    assert all(word and word.isascii() for word in tokenize(text, tokenizer))
    encoded = Vocabulary(WORDS).encode(text, tokenizer=tokenizer, max_words=5)
    assert len(encoded.ids) == len(encoded.words) <= 5
    assert all(1 <= index < len(WORDS) for index in encoded.ids)
    assert not set(encoded.unknown) & set(encoded.words)
    assert encoded.truncated >= 0


SIDES = st.integers(16, 40)


LEVEL = st.integers(0, 255)


@given(width=SIDES, height=SIDES, seed=st.integers(0, 2**16), one=LEVEL, other=LEVEL)
def test_masks_of_two_greys_are_split_at_half(
    width: int, height: int, seed: int, one: int, other: int
) -> None:
    grey = np.random.default_rng(seed).choice([one, other], (height, width)).astype(np.uint8)
    made = np.asarray(decode_mask(saved(Image.fromarray(grey))))
    assert np.array_equal(made == 255, grey >= 128)
    assert np.array_equal(made == 0, grey < 128)


@given(width=SIDES, height=SIDES, seed=st.integers(0, 2**16))
def test_alpha_marks_its_complement(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    made = np.asarray(alpha_mask(saved(Image.fromarray(pixels))).image)
    assert np.array_equal(made == 255, pixels[..., 3] < 128)


NUMBER = st.integers(-5, 50)


@given(box=st.tuples(NUMBER, NUMBER, NUMBER, NUMBER))
def test_boxes_lie_inside_or_are_refused(box: tuple[int, int, int, int]) -> None:
    x, y, w, h = box
    photo = Image.new("RGB", (40, 30))
    inside = x >= 0 <= y and w > 0 < h and x + w <= 40 and y + h <= 30
    if inside and (w, h) != (40, 30):
        made = box_mask(box, photo.size).image
        check_mask(made, photo.size)
        assert np.asarray(made).sum() == 255 * w * h
    else:
        with pytest.raises(ImageProblem) as caught:
            check_mask(box_mask(box, photo.size).image, photo.size)
        assert caught.value.status == 422


@given(value=st.one_of(st.text(max_size=40), st.from_regex(r"\d+,\d+,\d+,\d+"), st.lists(NUMBER)))
def test_whatever_stands_for_a_mask(http: TestClient, value: object) -> None:
    image = base64.b64encode(png()).decode()
    body = {"text": "a bird", "image": image, "mask": value}
    accepted_or_told(post_json(http, "/inpaint", body))


SOUND = st.fixed_dictionaries(
    {"text": st.lists(KNOWN, min_size=1, max_size=10).map(" ".join)},
    optional={
        "seed": st.integers(0, 2**32 - 1),
        "count": st.integers(1, 16),
        "format": st.sampled_from(["png", "jpeg", "webp"]),
        "bundle": st.just("paper"),
        "method": st.just("fake"),
        "webhook": st.just("https://example.com/hook"),
        "noise_scale": st.floats(0, 2),
    },
)


@given(fields=SOUND)
def test_json_and_both_forms_mean_the_same(http: TestClient, fields: dict[str, Any]) -> None:
    fields = {"seed": 1, **fields}
    text = {name: str(value) for name, value in fields.items()}
    answers = [
        post_json(http, "/synthesize", fields),
        http.post("/synthesize", data=text),
        http.post("/synthesize", files={name: (None, value) for name, value in text.items()}),
    ]
    inputs = [(accepted_or_told(answer) or {})["input"] for answer in answers]
    assert inputs[0] == inputs[1] == inputs[2]
    expected = {"count": 1, "format": "png", "bundle": "paper", "method": "fake", "explain": False}
    expected |= {"noise_scale": 1.0, "candidates": 1} | fields
    expected.pop("webhook", None)
    assert inputs[0] == expected


WEIGHTED = st.tuples(
    st.lists(KNOWN, min_size=1, max_size=4).map(" ".join),
    st.floats(0.001, 1000, allow_subnormal=False),
)


@given(parts=st.lists(WEIGHTED, min_size=2, max_size=8))
def test_weighted_texts_mean_the_same_in_json_and_forms(
    http: TestClient, parts: list[tuple[str, float]]
) -> None:
    texts = [{"text": text, "weight": weight} for text, weight in parts]
    form = {"text": [t for t, _ in parts], "weight": [repr(w) for _, w in parts], "seed": "1"}
    answers = [
        post_json(http, "/synthesize", {"text": texts, "seed": 1}),
        http.post("/synthesize", data=form),
    ]
    inputs = [(accepted_or_told(answer) or {})["input"] for answer in answers]
    assert inputs[0] == inputs[1]
    assert inputs[0]["text"] == texts


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "text",
        "seed",
        "count",
        "bundle",
        "method",
        "format",
        "webhook",
        "image",
        "explain",
        "frames",
        "weight",
        "noise_scale",
        "candidates",
    ]
)


@given(
    path=st.sampled_from(["/synthesize", "/manipulate", "/inpaint"]),
    body=st.one_of(JSON, st.dictionaries(st.one_of(NAMES, st.text(max_size=5)), JSON)),
)
def test_any_json_gets_an_answer(http: TestClient, path: str, body: object) -> None:
    accepted_or_told(post_json(http, path, body))


KINDS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=b; charset=utf-7",
    "multipart/form-data; boundary=b; charset=idna",
]
PIECES = [
    b"--b",
    b"\r\n",
    b"--",
    b'Content-Disposition: form-data; name="text"',
    b'; filename="a"',
    b"Content-Type: text/plain",
    b"a bird",
    b"=",
    b"&",
    b"{",
    b'"',
    b"%",
    b"\xff",
]


@given(
    kind=st.sampled_from(KINDS),
    content=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8))).map(b"".join),
)
def test_any_bytes_get_an_answer(http: TestClient, kind: str, content: bytes) -> None:
    response = http.post("/manipulate", content=content, headers={"Content-Type": kind})
    assert accepted_or_told(response) is None


FILES = [
    png(),
    mask(),
    saved(photo(), "JPEG", exif=exif(6)),
    saved(photo(), "JPEG", progressive=True, comment=b"bird"),
    saved(photo().convert("CMYK"), "JPEG"),
    saved(photo().convert("P"), "PNG", transparency=3),
    saved(Image.new("I;16", (40, 30), 40_000)),
    saved(photo().convert("LA")),
    saved(photo(), "WEBP"),
    saved(photo(), "WEBP", lossless=True, exif=exif(3)),
    saved(photo(), "MPO", save_all=True, append_images=[photo()]),
    animation("PNG"),
]
CHANGE = st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=4))


@given(
    data=st.sampled_from(FILES),
    changes=st.lists(CHANGE, min_size=1, max_size=6),
    early=st.booleans(),
    cut=st.integers(0, 3),
)
def test_damaged_files_are_pictures_or_refused(
    data: bytes, changes: list[tuple[int, bytes]], early: bool, cut: int
) -> None:
    """Most of what a decoder believes stands at the beginning, so half of the damage does."""
    damaged = bytearray(data)
    for place, new in changes:
        at = place % (min(len(damaged), 200) if early else len(damaged))
        damaged[at : at + len(new)] = new
    whole = bytes(damaged[: len(damaged) - cut])
    for decode, mode in ((decode_photo, "RGB"), (decode_mask, "L"), (_by_alpha, "L")):
        made = decoded_or_told(decode, whole)
        if made:
            assert made.mode == mode
            assert min(made.size) >= 16


def _by_alpha(data: bytes) -> Image.Image:
    return alpha_mask(data).image


def decoded_or_told(decode: Callable[[bytes], Image.Image], data: bytes) -> Image.Image | None:
    """The picture, or None after a look at the problem."""
    problem = None
    try:
        return decode(data)
    except ImageProblem as error:
        problem = error
    assert problem.status in (413, 415, 422)
    assert problem.detail.endswith(".")
    return None
