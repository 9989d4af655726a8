"""Images as callers hold them, and as they are sent: the same picture in whatever form."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageCms

from mmml.errors import UnusablePicture

Box = tuple[int, int, int, int]
Picture = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | Any
"""A file, its bytes, an open file, a PIL image, an array (uint8, uint16 or bool), or
``/jobs/ID/images/0``: an image of an earlier job."""
Mask = Picture | Box
"""White where the photo is to be filled; or a box (x, y, width, height), or ``"alpha"``: where
the photo is transparent."""

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_NEAREST_MODE = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "F": "L"}
_ARRAY_TYPES = ("u1", "u2", "b1")


def encode_image(image: Mask) -> bytes | str:
    """Bytes to send as a file, or text that the service understands. Raises UnusablePicture."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, Image.Image):
        return _as_png(image)
    if hasattr(image, "__array_interface__"):
        return _as_png(_from_array(image))
    if isinstance(image, tuple | list):
        return ",".join(map(str, image))
    return _read(image) if isinstance(image, str | os.PathLike) else _read_stream(image)


def _as_png(image: Image.Image) -> bytes:
    """With the orientation and the colour profile that came with the image."""
    image.load()
    turn = image.getexif().get(ExifTags.Base.Orientation)
    exif = Image.Exif()
    if turn:
        exif[ExifTags.Base.Orientation] = turn
    profile = image.info.get("icc_profile")
    if image.mode in ("CMYK", "LAB"):  # a profile of theirs says nothing of RGB
        image, profile = _as_rgb(image, profile), None
    buffer = io.BytesIO()
    _as_png_mode(image).save(buffer, "PNG", exif=exif, icc_profile=profile)
    return buffer.getvalue()


def _as_png_mode(image: Image.Image) -> Image.Image:
    if image.mode in _PNG_MODES:
        return image
    if image.mode.startswith("I"):  # of 16 bits, unless it is a converted one of 8
        whole = image.convert("I")
        eight_bits = whole.point(lambda value: value * (1 / 256)).getbbox() is None
        return whole.convert("L" if eight_bits else "I;16")
    return image.convert(_NEAREST_MODE.get(image.mode, "RGB"))


def _as_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode == "CMYK":
        source, target = io.BytesIO(profile), ImageCms.createProfile("sRGB")
        try:
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # it can't be read, and is ignored as in a file
        if converted:
            return converted
    return image.convert("RGB")


def _from_array(array: Any) -> Image.Image:
    kind, shape = array.__array_interface__["typestr"], array.__array_interface__["shape"]
    try:
        if kind[1:] not in _ARRAY_TYPES or len(shape) not in (2, 3):
            raise TypeError
        return Image.fromarray(array)
    except (TypeError, ValueError) as error:
        raise UnusablePicture(
            f"An array of shape {tuple(shape)} and type {kind} is no image; use height × width, or "
            "× 3 or 4 channels, of type uint8, from 0 to 255."
        ) from error


def _read_stream(stream: BinaryIO) -> bytes:
    """All of an open file, wherever it was read or written last."""
    if not hasattr(stream, "read"):
        raise UnusablePicture(f"A {type(stream).__name__} is no image; give a file or an image.")
    if stream.seekable():
        stream.seek(0)
    data = stream.read()
    if not isinstance(data, bytes):
        raise UnusablePicture("The file was opened as text; open it with mode 'rb'.")
    return data


def _read(name: str | os.PathLike[str]) -> bytes | str:
    path, text = Path(name), str(name)
    try:
        if path.is_file():
            return path.read_bytes()
    except OSError as error:
        raise UnusablePicture(f"{path} can't be read: {error.strerror}.") from error
    if "/jobs/" in text or text == "alpha" or text.count(",") == 3:
        return text
    raise UnusablePicture(f"There is no file {path}.")
