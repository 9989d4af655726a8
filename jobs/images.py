"""Untrusted pictures in, plain 8-bit sRGB out: the only place that opens uploaded pixels. Also
pictures and animations as files.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import product

from PIL import ExifTags, Image, ImageChops, ImageCms, UnidentifiedImageError

from jobs.ai_mark import mark_options
from jobs.errors import ImageProblem
from jobs.image_files import (
    MAX_SCANNED,
    bare_jpeg,
    check_part_count,
    has_image_signature,
    too_many_parts,
    without_comments,
)

# Left to itself Pillow cuts pictures into blocks of 16 MB, which glibc keeps for the thread that
# had them: memory grows with the threads, not with the pictures. Larger blocks are given back.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]

FORMATS = ("PNG", "JPEG", "WEBP")
EXTENSION = {"png": "png", "jpeg": "jpg", "webp": "webp", "gif": "gif"}

_EXIF_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB = ImageCms.createProfile("sRGB")
_CUBE = bytes(min(16 * part, 255) for colour in product(range(17), repeat=3) for part in colour)
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError)


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
    with opened(data, name, limits or ImageLimits()) as image:
        return flatten(image, "white")


def normalize_photo(
    data: bytes, name: str = "image", limits: ImageLimits | None = None
) -> tuple[bytes, Image.Image]:
    """A photo as it is stored for its job, and as :func:`decode_photo` reads that, which raises. A
    JPEG keeps its coded pixels: written anew it would be a PNG of four times the size, which takes
    ten times as long as all the rest. Others become PNGs. No metadata but an orientation, and the
    profile that a JPEG's colours need.
    """
    bare = bare_jpeg(data, *_orientation_and_profile(data)) if _is_jpeg(data) else None
    if bare:
        with suppress(ImageProblem):  # which the file itself may not have, and if so, says better
            return bare, decode_photo(bare, name, limits)
    photo = decode_photo(data, name, limits)
    return encode(photo), photo


def _is_jpeg(data: bytes) -> bool:
    return data.startswith(b"\xff\xd8")


def _orientation_and_profile(data: bytes) -> tuple[int, bytes]:
    """EXIF's of a JPEG, and its colour profile; 1, and nothing, where there is none that can be
    read.
    """
    turn, found, profile = None, b"", b""
    with (
        suppress(Exception),  # damaged metadata fails in any way, and says nothing of the pixels
        Image.open(io.BytesIO(without_comments(data)), formats=("JPEG",)) as image,
    ):
        found = image.info.get("icc_profile", b"")
        turn = image.getexif().get(ExifTags.Base.Orientation)
    with suppress(ImageCms.PyCMSError, *_DECODE_ERRORS):
        ImageCms.ImageCmsProfile(io.BytesIO(found))  # can it be read?
        profile = b"" if is_srgb(found) else found
    return (int(turn) if turn in _EXIF_TRANSPOSES else 1), profile


def encode(image: Image.Image, extension: str = "png", xmp: bytes = b"") -> bytes:
    """Bytes of an RGB or L picture as "png" (lossless), "jpeg" or "webp" (quality 95); no
    metadata but ``xmp``.
    """
    mark = mark_options(extension, xmp)
    buffer = io.BytesIO()
    kept, image.info = image.info, {}  # Pillow writes comments and profiles from here
    try:
        if extension == "png":
            image.save(buffer, "PNG", compress_level=1, compress_type=_RLE, **mark)
        elif extension == "webp" and image.width * image.height > _MANY_PIXELS:
            image.save(buffer, "WEBP", quality=95, method=2, **mark)
        else:
            image.save(buffer, extension.upper(), quality=95, **mark)
    finally:
        image.info = kept
    return buffer.getvalue()


# From here on a WebP is written by the method that does not hold all coefficients: 49 megapixels of
# noise take 0.6 GB and 5 s instead of 1.5 GB and 20 s, for files of the same size.
_MANY_PIXELS = 8_000_000
_webp = threading.Lock()  # the decoder holds such a picture four times: one of them at a time
# A strategy of zlib's by its number, made for what PNG's filters leave of a picture: a tenth less
# time, and files of generated pictures become a seventh smaller.
_RLE = 3


@contextmanager
def opened(data: bytes, name: str, limits: ImageLimits) -> Iterator[Image.Image]:
    """The decoded picture, upright; everything Pillow can raise becomes an ImageProblem."""
    scans = check_part_count(data, name)
    data = without_comments(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, name, limits)
                if image.width * image.height * scans > MAX_SCANNED:
                    raise too_many_parts(name)
                heavy = image.format == "WEBP" and image.width * image.height > _MANY_PIXELS
                with _webp if heavy else nullcontext():
                    image.load()
                    yield _apply_exif_rotation(image)
        except UnidentifiedImageError as error:
            if has_image_signature(data):
                raise _broken_image(name) from error
            raise ImageProblem(
                f"{name} is not a PNG, JPEG or WebP picture; convert it to one of these.", 415
            ) from error
        except (Image.DecompressionBombError, MemoryError) as error:
            raise _too_large(name, limits) from error
        except _DECODE_ERRORS as error:
            raise _broken_image(name) from error


def _check_size(image: Image.Image, name: str, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise _too_large(name, limits)
    if min(width, height) < limits.min_side:
        raise ImageProblem(
            f"{name} is {width}×{height} pixels; send one whose shorter side has at least "
            f"{limits.min_side}.",
        )
    # A JPEG of several pictures (MPO, as many phones write) is one photo and extras; its first is
    # used.
    if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1:
        raise ImageProblem(f"{name} is animated; send a single picture.")


def _broken_image(name: str) -> ImageProblem:
    return ImageProblem(
        f"{name} is broken or cut off and can't be decoded; export it again and resend."
    )


def _too_large(name: str, limits: ImageLimits) -> ImageProblem:
    return ImageProblem(
        f"{name} is larger than {limits.max_pixels // 1_000_000} megapixels "
        f"or {limits.max_side} pixels on a side; scale it down.",
        413,
    )


def _apply_exif_rotation(image: Image.Image) -> Image.Image:
    """As its EXIF says, which is read only: many a camera writes what can't be written again."""
    try:
        turn = _EXIF_TRANSPOSES.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF fails in any way, and says nothing about the pixels
        return image
    return image if turn is None else image.transpose(turn)


def flatten(image: Image.Image, backdrop: str) -> Image.Image:
    """8-bit sRGB on an opaque backdrop, whatever the file's mode and depth."""
    image = _eight_bits(image)
    if not image.has_transparency_data:
        return _to_srgb(image, image.info.get("icc_profile"))
    # No more copies than needed: each may take 200 MB.
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    flat = _to_srgb(rgba.convert("RGB"), image.info.get("icc_profile"))
    flat.paste(backdrop, (0, 0), ImageChops.invert(rgba.getchannel("A")))
    return flat


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey is scaled; Pillow would clip it, and forget what is transparent."""
    if not image.mode.startswith("I"):
        return image
    deep = image.convert("I")
    grey = deep.point([round(value / 257) for value in range(65536)], "L")
    clear = image.info.get("transparency")
    if clear is None:
        return grey
    alpha = deep.point([0 if value == clear else 255 for value in range(65536)], "L")
    merged = Image.merge("LA", (grey, alpha))
    merged.info = {k: v for k, v in image.info.items() if k != "transparency"}
    return merged


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture, which has no alpha, as mode RGB. An unreadable profile, and one of another kind
    of colours, is ignored: the numbers are taken as sRGB, as browsers do.
    """
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            planes = _planes(image, source.profile.xcolor_space.strip())
            if planes is not None and not is_srgb(profile):
                converted = ImageCms.profileToProfile(planes, source, _SRGB, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, *_DECODE_ERRORS):
            pass
    return _to_rgb(image)


def is_srgb(profile: bytes) -> bool:
    """Whether a profile says sRGB, up to rounding, as that of most files does: to convert a photo
    of 12 megapixels takes longer than to decode it.
    """
    cube = Image.frombytes("RGB", (17 * 17, 17), _CUBE)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return False
        converted = ImageCms.profileToProfile(cube, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        return False
    if converted is None:
        return False
    beyond = ImageChops.difference(cube, converted).point(lambda value: 255 * (value > 1))
    return beyond.getbbox() is None


def _to_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _planes(image: Image.Image, space: str) -> Image.Image | None:
    """The picture in the mode that a profile of the colour space ``space`` is for."""
    if space == "CMYK":
        return image if image.mode == "CMYK" else None
    if space == "RGB":
        return _to_rgb(image) if image.mode in ("RGB", "P") else None
    if space != "GRAY":
        return None
    if image.mode in ("L", "1"):
        return image.convert("L")
    return image.getchannel(0) if image.mode == "RGB" and _is_grey(image) else None


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return not any(
        ImageChops.difference(red, other).getbbox() is not None for other in (green, blue)
    )


MOVING = ("webp", "gif")
_FRAME_MS = 80
_REST_MS = 800  # first and last frame: that is where the captions themselves are


def encode_frames(
    frames: Sequence[Image.Image], extension: str, xmp: bytes = b""
) -> tuple[bytes, tuple[int, int]]:
    """(bytes, size in pixels) of one RGB picture, or of several of one size: an endless "webp" or
    "gif", or a strip from left to right as "png" or "jpeg".
    """
    if len(frames) > 1 and extension in MOVING:
        return _animated(frames, extension, xmp), frames[0].size
    strip = _strip(frames) if len(frames) > 1 else frames[0]
    return encode(strip, extension, xmp), strip.size


def _animated(frames: Sequence[Image.Image], extension: str, xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    durations = [_REST_MS, *[_FRAME_MS] * (len(frames) - 2), _REST_MS]
    frames[0].save(
        buffer,
        extension.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        **({"quality": 95} if extension == "webp" else {}),
        **mark_options(extension, xmp),
    )
    return buffer.getvalue()


def _strip(frames: Sequence[Image.Image]) -> Image.Image:
    width, height = frames[0].size
    strip = Image.new("RGB", (width * len(frames), height))
    for place, frame in enumerate(frames):
        strip.paste(frame, (place * width, 0))
    return strip
