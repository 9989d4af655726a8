"""Pictures as people hold them, and as they travel."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from app.client.errors import UnusablePicture

Box = tuple[int, int, int, int]
Picture = str | Path | bytes | Image.Image
"""A file, its bytes, a PIL image, or ``/jobs/ID/images/0``: a picture of an earlier job."""
Mask = Picture | Box
"""White where the photo is to be filled; or a box (x, y, width, height), or ``"alpha"``: where
the photo is transparent."""


def content(picture: Mask) -> bytes | str:
    """Bytes to send as a file, or text that the service understands. Raises UnusablePicture."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, Image.Image):
        return _as_png(picture)
    if isinstance(picture, tuple | list):
        return ",".join(map(str, picture))
    return _named(picture)


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    kept = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    (image if kept else image.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()


def _named(name: str | Path) -> bytes | str:
    path, text = Path(name), str(name)
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise UnusablePicture(f"{path} can't be read: {error.strerror}.") from error
    if "/jobs/" in text or text == "alpha" or text.count(",") == 3:
        return text
    raise UnusablePicture(f"There is no file {path}.")
