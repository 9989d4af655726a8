"""What both kinds of job know without asking the service."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from PIL import Image, ImageSequence, PngImagePlugin

from mmml.errors import JobFailed, MmmlError, Record
from mmml.operations import (
    FINAL,
    OnChange,
    Operation,
    download_images,
    get_record,
    wait_for_end,
)
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


def _parse_explanation(record: Record) -> Explanation:
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


FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif"}


class BaseJob:
    """A job as it was when the service was asked last. ``record``: the answer of GET /jobs/ID."""

    def __init__(self, client: Any, record: dict[str, Any]) -> None:
        self._client, self.record = client, record
        self._pictures: list[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.task} {self.status}>"

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def task(self) -> str:
        return str(self.record["task"])

    @property
    def status(self) -> str:
        """queued, running, succeeded, failed, canceled or expired."""
        return str(self.record["status"])

    @property
    def over(self) -> bool:
        """Nothing but expiry can follow."""
        return self.status in FINAL

    @property
    def warnings(self) -> list[str]:
        """Such as which words the bundle did not know."""
        return list(self.record["warnings"])

    @property
    def seed(self) -> int:
        """Of the first picture; the same seed and text make the same picture."""
        return int(self.record["input"]["seed"])

    @property
    def pictures(self) -> list[bytes]:
        """The files of the pictures, in order, without those that failed."""
        if self._pictures is None:
            raise MmmlError(f"Job {self.id} is {self.status} as far as is known: wait() for it.")
        return self._pictures

    @property
    def images(self) -> list[Image.Image]:
        """The pictures, in order, without those that failed."""
        return [Image.open(io.BytesIO(data)) for data in self.pictures]

    def _wait(
        self, on_change: OnChange | None, timeout: float | None, fetch: bool
    ) -> Operation[Self]:
        client = self._client
        seconds = client._timeout if timeout is None else timeout
        self.record = yield from wait_for_end(self.id, seconds, client._retry_for, on_change)
        if self.status != "succeeded":
            raise JobFailed(self.record)
        if fetch:
            self._pictures = yield from download_images(self.record, client._retry_for)
        return self

    def _update(self, request: ApiRequest) -> Operation[Self]:
        self.record = yield from get_record(request, self._client._retry_for)
        return self

    def _explanation(self, index: int) -> Operation[Explanation]:
        image = next((i for i in self.record["images"] if i["index"] == index), None)
        path = image.get("explanation") if image else None
        if not path:
            raise MmmlError(
                f"Job {self.id} has no explanation of picture {index}: submit it with "
                "explain=True, and wait for it."
            )
        request = ApiRequest("GET", path)
        return _parse_explanation((yield from get_record(request, self._client._retry_for)))

    def _write_images(self, path: str | Path) -> list[Path]:
        first, written = Path(path), []
        images = [image for image in self.record["images"] if image["url"]]
        for number, (data, image) in enumerate(zip(self.pictures, images, strict=True)):
            name = first.name if number == 0 else f"{first.stem}-{number}{first.suffix}"
            written.append(first.with_name(name))
            _write_image(data, image["format"], written[-1])
        return written


def _write_image(data: bytes, format: str, target: Path) -> None:
    """The file as received, unless the target's name asks for another format."""
    wanted = FORMATS.get(target.suffix.lower(), format)
    if wanted == format:
        target.write_bytes(data)
    else:
        with Image.open(io.BytesIO(data)) as image:
            _convert(image, wanted, target)


def _convert(image: Image.Image, format: str, target: Path) -> None:
    """An animation stays one, or becomes a strip from left to right, as the service makes it."""
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(frame.convert("RGB"))
        durations.append(frame.info.get("duration", 0))
    options: dict[str, Any] = {"quality": 95, **_origin(image, format)}
    if len(frames) > 1 and format in ("webp", "gif"):
        options |= {"append_images": frames[1:], "duration": durations, "loop": 0}
        frames[0].save(target, format.upper(), save_all=True, **options)
    else:
        _strip(frames).save(target, format.upper(), **options)


def _strip(frames: Sequence[Image.Image]) -> Image.Image:
    width, height = frames[0].size
    strip = Image.new("RGB", (width * len(frames), height))
    for place, frame in enumerate(frames):
        strip.paste(frame, (place * width, 0))
    return strip


def _origin(image: Image.Image, format: str) -> dict[str, Any]:
    """What a converted image says of its origin, as options of Pillow: the XMP packet by which the
    service marks it as generated. GIFs hold none.
    """
    packet = image.info.get("xmp")
    if not packet:
        return {}
    if format == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        return {"pnginfo": info}
    return {"xmp": packet}
