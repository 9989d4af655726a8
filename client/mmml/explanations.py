"""How each word of a text affected an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields

from PIL import Image

from mmml.errors import MmmlError, Record
from mmml.requests import ApiRequest


@dataclass(frozen=True)
class Word:
    """``start`` and ``end``: its place, in characters, in text number ``text``; ``known``: the
    bundle has this word; ``maps``: where it acted, grey, 255 is its strongest place, of the
    picture's aspect but not its size; ``peak``: its share at that place, in [0,1]. A word that was
    left out has no maps, and ``peak`` is None.
    """

    word: str
    start: int
    end: int
    known: bool
    maps: Mapping[str, Image.Image]
    peak: float | None = None
    text: int = 0


@dataclass(frozen=True)
class Explanation:
    """Of image number ``image``. ``features``: maps of the whole network, where it has some."""

    image: int
    method: str
    words: tuple[Word, ...]
    features: Mapping[str, Image.Image]


def explanation_request(job: Record, index: int) -> ApiRequest:
    """The request for it. Raises MmmlError when the job has none."""
    image = next((i for i in job["images"] if i["index"] == index), None)
    path = image.get("explanation") if image else None
    if not path:
        raise MmmlError(
            f"Job {job['id']} has no explanation of picture {index}: submit it with explain=True, "
            "and wait for it."
        )
    return ApiRequest("GET", path)


def parse_explanation(record: Record) -> Explanation:
    """The answer, with its maps as images of mode L."""
    words = tuple(map(_word, record["words"]))
    return Explanation(record["image"], record["method"], words, _maps(record["features"]))


def _word(record: Record) -> Word:
    """Members that a newer service may add are left out."""
    known = {field.name: record[field.name] for field in fields(Word) if field.name in record}
    return Word(**{**known, "maps": _maps(record["maps"])})


def _maps(urls: Mapping[str, str]) -> dict[str, Image.Image]:
    return {name: _map(url) for name, url in urls.items()}


def _map(data_url: str) -> Image.Image:
    data = base64.b64decode(data_url.partition(",")[2])
    return Image.open(io.BytesIO(data)).convert("L")
