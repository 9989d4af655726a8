"""Untrusted pictures in, plain 8-bit sRGB out. The only place that opens uploaded pixels."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageOps, UnidentifiedImageError

from jobs.errors import ImageProblem
from jobs.image_files import check_parts, claims_to_be_a_picture

FORMATS = ("PNG", "JPEG", "WEBP")
EXTENSION = {"png": "png", "jpeg": "jpg", "webp": "webp", "gif": "gif"}
THRESHOLD = 128  # mask values from here up are the hole

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB = ImageCms.createProfile("sRGB")
_BROKEN = (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError)


@dataclass(frozen=True)
class ImageLimits:
    """Pixels and sides of accepted uploads."""

    max_pixels: int = 50_000_000
    min_side: int = 16
    max_side: int = 16_384


def decode_photo(
    data: bytes, name: str = "image", limits: ImageLimits | None = None
) -> Image.Image:
    """Normalise a photo: upright by EXIF, 8-bit sRGB, transparency on white. Returns mode RGB.

    Raises ImageProblem (413 too large, 415 not PNG, JPEG or WebP, 422 broken or animated).
    """
    with _opened(data, name, limits or ImageLimits()) as image:
        return _flatten(_upright(image), "white")


def decode_mask(data: bytes, name: str = "mask", limits: ImageLimits | None = None) -> Image.Image:
    """A mask as an upload: mode L, 255 = hole, 0 = known; grey is split at 128, transparency
    counts as known.
    """
    with _opened(data, name, limits or ImageLimits()) as image:
        return _binary(_flatten(_upright(image), "black").convert("L"))


def alpha_mask(
    data: bytes,
    name: str = "image",
    limits: ImageLimits | None = None,
    otherwise: str = "send a mask picture or a box",
) -> Image.Image:
    """The hole that a picture's transparency marks: 255 where alpha is below 128. ``otherwise``:
    what its sender can do when it has none.
    """
    with _opened(data, name, limits or ImageLimits()) as image:
        upright = _upright(image)
        if not upright.has_transparency_data:
            raise ImageProblem(
                422,
                f"{name} has no transparency, so it can't mark the hole; {otherwise}.",
            )
        return ImageOps.invert(_binary(upright.convert("RGBA").getchannel("A")))


def box_mask(box: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
    """A rectangular hole: x, y, width, height in pixels of the upright photo of ``size``."""
    x, y, w, h = box
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > size[0] or y + h > size[1]:
        raise ImageProblem(
            422,
            f"the box {x},{y},{w},{h} does not lie inside the photo of {size[0]}×{size[1]} pixels; "
            "give x,y,width,height within it.",
        )
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rectangle((x, y, x + w - 1, y + h - 1), fill=255)
    return mask


@dataclass(frozen=True)
class Marks:
    """How a mask's sender sees its two sides."""

    hole: str
    known: str


PAINTED = Marks("white", "black")
TRANSPARENT = Marks("transparent", "opaque")


def check_mask(mask: Image.Image, photo: Image.Image, marks: Marks = PAINTED) -> None:
    """A usable mask has the photo's size and both colours."""
    if mask.size != photo.size:
        raise ImageProblem(
            422,
            f"the mask is {mask.width}×{mask.height} pixels but the photo is "
            f"{photo.width}×{photo.height} "
            f"(after its EXIF rotation); send a mask of the photo's size, {marks.hole} where it is "
            "to be filled.",
        )
    low, high = mask.getextrema()
    if high == 0:
        raise ImageProblem(
            422,
            f"the mask is all {marks.known}, so nothing is to be filled; make the hole "
            f"{marks.hole}.",
        )
    if low == 255:
        raise ImageProblem(
            422,
            f"the mask is all {marks.hole}, so nothing of the photo is known; make {marks.hole} "
            "only what is to be filled.",
        )


def encode(image: Image.Image, extension: str = "png") -> bytes:
    """Bytes of an RGB or L picture as "png" (lossless), "jpeg" or "webp" (quality 95); no
    metadata.
    """
    buffer = io.BytesIO()
    kept, image.info = image.info, {}  # Pillow writes comments and profiles from here
    try:
        if extension == "png":
            image.save(buffer, "PNG", compress_level=1)
        else:
            image.save(buffer, extension.upper(), quality=95)
    finally:
        image.info = kept
    return buffer.getvalue()


@contextmanager
def _opened(data: bytes, name: str, limits: ImageLimits) -> Iterator[Image.Image]:
    """The decoded picture; everything Pillow can raise becomes an ImageProblem."""
    check_parts(data, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, name, limits)
                image.load()
                yield image
        except UnidentifiedImageError as error:
            if claims_to_be_a_picture(data):
                raise _broken(name) from error
            raise ImageProblem(
                415, f"{name} is not a PNG, JPEG or WebP picture; convert it to one of these."
            ) from error
        except Image.DecompressionBombError as error:
            raise _too_large(name, limits) from error
        except MemoryError as error:
            raise _too_large(name, limits) from error
        except _BROKEN as error:
            raise _broken(name) from error


def _check_size(image: Image.Image, name: str, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise _too_large(name, limits)
    if min(width, height) < limits.min_side:
        raise ImageProblem(
            422,
            f"{name} is {width}×{height} pixels; send one whose shorter side has at least "
            f"{limits.min_side}.",
        )
    # A JPEG of several pictures (MPO, as many phones write) is one photo and extras; its first is
    # used.
    if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1:
        raise ImageProblem(422, f"{name} is animated; send a single picture.")


def _broken(name: str) -> ImageProblem:
    return ImageProblem(
        422, f"{name} is broken or cut off and can't be decoded; export it again and resend."
    )


def _too_large(name: str, limits: ImageLimits) -> ImageProblem:
    return ImageProblem(
        413,
        f"{name} is larger than {limits.max_pixels // 1_000_000} megapixels "
        f"or {limits.max_side} pixels on a side; scale it down.",
    )


def _upright(image: Image.Image) -> Image.Image:
    """As its EXIF says, which is read only: many a camera writes what can't be written again."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF fails in any way, and says nothing about the pixels
        return image
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image, backdrop: str) -> Image.Image:
    """8-bit sRGB on an opaque backdrop."""
    image = _eight_bits(image)
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        flat = Image.new("RGB", image.size, backdrop)
        flat.paste(rgba, mask=rgba.getchannel("A"))
        return flat
    return _to_srgb(image)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey is scaled; Pillow's own conversion would clip it."""
    if image.mode.startswith("I") or image.mode == "F":
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    return image


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, *_BROKEN):
            pass  # an unreadable profile: take the numbers as sRGB, as browsers do
    return image.convert("RGB")


def _binary(plane: Image.Image) -> Image.Image:
    return plane.point([255 if value >= THRESHOLD else 0 for value in range(256)])
