"""Photos decoded once: squares a little larger than the training size, memory-mapped.

The margin (76/64, as AttnGAN's) is what random crops move in. Photos that are cut tightly around
their objects have none: a crop would take the head or the tail off.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.data.layouts.base import UNREADABLE, DataError, Record
from models.files import exclusive

Bytes = NDArray[np.uint8]
Plane = NDArray[np.bool_]
Region = tuple[float, float, float, float]  # left, top, right, bottom in pixels
Painter = Callable[[Record, int, str], Bytes]  # of a record with a side, by its layout

VERSION = 3  # of the crop and its colours: a new number invalidates caches
SQUASHED = frozenset({"cub"})  # layouts whose photos without a box are square crops already
_FILTER = Image.Resampling.BILINEAR  # with Pillow's antialiasing
_PROGRESS = 1000


@dataclass(frozen=True)
class Squares:
    """pixels: uint8 [N,C,C,3] of photos, or uint8 [N,C,C] of masks with values 0 and 255, row k for
    record k, read-only; broken: keys of the records that could not be read, whose rows are zero.
    """

    pixels: Bytes
    broken: tuple[str, ...]


@dataclass(frozen=True)
class SquareCache:
    """Squares of ``records`` with ``side`` pixels, made on first use in ``folder``. size: of the
    pictures in training; content: hash of the data set's content; a changed data set gets a new
    cache.
    """

    records: Sequence[Record]
    layout: str
    size: int
    content: str
    folder: Path

    @property
    def side(self) -> int:
        """With a margin around ``size``, unless most records are cut tightly."""
        tight = sum(record.tight for record in self.records) > len(self.records) / 2
        return self.size if tight else round(self.size * 76 / 64)

    def photos(self) -> Squares:
        return self._open_or_build("photos", (3,), square_photo, threads=8)

    def masks(self) -> Squares:
        """The object masks, cut as their photos; zero where there is none."""
        # One thread: the first mask makes a data set read its index, once.
        return self._open_or_build("masks", (), square_mask, threads=1)

    def _open_or_build(
        self, kind: str, channels: tuple[int, ...], paint: Painter, threads: int
    ) -> Squares:
        path = self.folder / f"{kind}-{self._digest()}-{self.side}.npy"
        shape = len(self.records), self.side, self.side, *channels
        if found := _open(path, shape):
            return found
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Processes that start at once wait for the first instead of doing its work again.
            lock = path.with_suffix(".lock")
            lock.touch()
            with exclusive(lock):
                if not _open(path, shape):
                    self._build(path, shape, paint, threads)
        except OSError as error:
            raise DataError(
                f"Cannot write {path.parent}: {error.strerror}; make room there, or set "
                "XDG_CACHE_HOME to a folder that can be written."
            ) from error
        if made := _open(path, shape):
            return made
        raise DataError(
            f"{path} can't be read back; set XDG_CACHE_HOME to a folder on another disk."
        )

    def _digest(self) -> str:
        rows = [[r.key, r.box, r.object_mask is not None] for r in self.records]
        text = json.dumps([VERSION, self.content, self.layout, rows, None])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _build(self, path: Path, shape: tuple[int, ...], paint: Painter, threads: int) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent, suffix=".part") as part:
            built, report = Path(part) / path.name, Path(part) / "report.json"
            pixels = np.lib.format.open_memmap(built, mode="w+", dtype=np.uint8, shape=shape)
            broken = self._fill(pixels, paint, threads)
            pixels.flush()
            report.write_text(json.dumps({"broken": broken}), encoding="utf-8")
            # The pixels last: they are what says that the cache is complete.
            report.replace(path.with_suffix(".json"))
            built.replace(path)

    def _fill(self, pixels: Bytes, paint: Painter, threads: int) -> list[str]:
        """Paints every row; the keys of the records that cannot be read."""
        side = self.side

        def one(k: int) -> bool:
            try:
                pixels[k] = paint(self.records[k], side, self.layout)
            except UNREADABLE:
                return False
            return True

        broken = []
        with ThreadPoolExecutor(min(threads, os.cpu_count() or 1)) as pool:
            for k, fine in enumerate(pool.map(one, range(len(self.records)))):
                if not fine:
                    broken.append(self.records[k].key)
                if (k + 1) % _PROGRESS == 0:
                    sys.stderr.write(f"cut {k + 1} of {len(self.records)} squares\n")
        return broken


def _open(path: Path, shape: tuple[int, ...]) -> Squares | None:
    """None where there are no squares yet, or damaged ones."""
    try:
        broken = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["broken"]
        pixels = np.load(path, mmap_mode="r")
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Squares(pixels, tuple(broken)) if pixels.shape == shape else None


def square_photo(record: Record, side: int, layout: str) -> Bytes:
    """uint8 [side,side,3]: the record's box, or its photo, cut to a square and scaled."""
    with Image.open(record.path) as image:
        full = image.size
        left, top, right, bottom = _region(record, full, layout)
        scale = side / min(right - left, bottom - top)
        # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time; never below what is needed.
        image.draft("RGB", (int(full[0] * scale) + 1, int(full[1] * scale) + 1))
        picture = _opaque(image)
        picture.info = image.info  # how the camera was held
    across, down = picture.width / full[0], picture.height / full[1]
    region = (left * across, top * down, right * across, bottom * down)
    scaled = picture.resize((side, side), _FILTER, box=region, reducing_gap=2.0)
    if record.box is None and record.object_mask is None:
        # Boxes and masks are given in stored pixels; other photos are turned as their camera says,
        # which a square from the middle may be as well as the whole photo.
        scaled = ImageOps.exif_transpose(scaled)
    return np.asarray(scaled, np.uint8)


def _opaque(image: Image.Image) -> Image.Image:
    """8-bit RGB on white, as the service flattens uploads: a network sees one kind of photo."""
    if image.mode.startswith("I"):  # Pillow clips 16-bit grey to white
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    flat = Image.new("RGB", layer.size, "white")
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat


def square_mask(record: Record, side: int, layout: str) -> Bytes:
    """uint8 [side,side]: 255 on the object, cut as ``square_photo`` cuts the photo."""
    plane = record.object_mask() if record.object_mask else None
    if plane is None:
        return np.zeros((side, side), np.uint8)
    height, width = plane.shape
    region = _region(record, (width, height), layout)
    picture = Image.fromarray(plane.astype(np.uint8) * 255)
    scaled = picture.resize((side, side), _FILTER, box=region)
    return np.where(np.asarray(scaled) > 127, 255, 0).astype(np.uint8)


def _region(record: Record, size: tuple[int, int], layout: str) -> Region:
    """What of a photo of ``size`` (width, height) the square shows. All of a box, squashed where
    the photo's border made it oblong: a square from its middle could lack the head.
    """
    width, height = size
    if record.box is None and layout in SQUASHED:
        return 0, 0, width, height
    x, y, w, h = record.box or (0, 0, width, height)
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
    if right - left < 1 or bottom - top < 1:
        raise ValueError("the box lies outside of the photo")
    if record.box is not None:
        return left, top, right, bottom
    side = min(right - left, bottom - top)
    across, down = left + (right - left - side) / 2, top + (bottom - top - side) / 2
    return across, down, across + side, down + side
