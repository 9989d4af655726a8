"""Images of the size that a client named, made from those that the job stored."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

from PIL import Image, ImageOps

from app.gateway.image_responses import SMALL
from app.gateway.services import Services
from jobs.ai_mark import read_mark
from jobs.images import encode
from jobs.job import ImageRecord

Fit = Literal["cover", "contain"]
SIDES = range(16, 2049)  # pixels
_SIZE = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class TargetSize:
    """Pixels of an answered image. ``fit``: what happens to an image of another aspect, in the
    words of CSS (object-fit): "cover" cuts off what sticks out, "contain" adds black bars.
    """

    width: int
    height: int
    fit: Fit = "cover"

    @classmethod
    def parse(cls, text: str, fit: Fit) -> Self | None:
        """From WIDTHxHEIGHT; None when that is no size which is served."""
        found = _SIZE.fullmatch(text)
        if found is None or int(found[1]) not in SIDES or int(found[2]) not in SIDES:
            return None
        return cls(int(found[1]), int(found[2]), fit)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def is_small(self) -> bool:
        return self.width * self.height <= SMALL

    def is_met_by(self, image: ImageRecord) -> bool:
        return (image.width, image.height) == (self.width, self.height)

    def warning(self, image: ImageRecord) -> str:
        """What was done to ``image``, for who reads its pixels as the network's or the photo's."""
        made = f"{image.width}x{image.height}"
        same_aspect = image.width * self.height == self.width * image.height
        how = {"cover": " and cut to that shape", "contain": " between black bars"}[self.fit]
        return f"The image was made as {made} and scaled to {self}{'' if same_aspect else how}."


async def stored_or_scaled(
    services: Services, image: ImageRecord, target: TargetSize | None, who: str
) -> bytes:
    """The stored file, or the same image in ``target``'s size and the same format, made in the
    share of places that ``who`` has. Raises BlobMissing.
    """
    data = await services.get_blob(image.blob)
    if target is None or target.is_met_by(image):
        return data
    return await services.decoders.run(who, partial(_scale, data, target, image.format))


def _scale(data: bytes, target: TargetSize, extension: str) -> bytes:
    resize = ImageOps.fit if target.fit == "cover" else ImageOps.pad
    with Image.open(io.BytesIO(data)) as image:  # our own encoding, not an upload
        size, lanczos = (target.width, target.height), Image.Resampling.LANCZOS
        scaled = resize(image.convert("RGB"), size, lanczos)
        return encode(scaled, extension, read_mark(image))
