"""Images as callers hold them, and as they are sent."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from mmml.errors import UnusablePicture

Box = tuple[int, int, int, int]
Picture = str | Path | bytes | Image.Image
"""A file, its bytes, a PIL image, or ``/jobs/ID/images/0``: an image of an earlier job."""
Mask = Picture | Box
"""White where the photo is to be filled; or a box (x, y, width, height), or ``"alpha"``: where
the photo is transparent."""


def encode_image(image: Mask) -> bytes | str:
    """Bytes to send as a file, or text that the service understands. Raises UnusablePicture."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, Image.Image):
        return _as_png(image)
    if isinstance(image, tuple | list):
        return ",".join(map(str, image))
    return _read(image)


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    supported = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    (image if supported else image.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()


def _read(name: str | Path) -> bytes | str:
    path, text = Path(name), str(name)
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise UnusablePicture(f"{path} can't be read: {error.strerror}.") from error
    if "/jobs/" in text or text == "alpha" or text.count(",") == 3:
        return text
    raise UnusablePicture(f"There is no file {path}.")
