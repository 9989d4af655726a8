"""Masks as people send them: 255 where a photo is to be filled, 0 where it is known.

A picture that was not made as a mask has bright parts, too. It is refused, or its transparency is
used, but never split by brightness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageDraw, ImageOps, ImageStat

from jobs.errors import ImageProblem
from jobs.images import ImageLimits, flatten, opened

THRESHOLD = 128  # mask values from here up are the hole
_SAMPLE = 512  # pixels of the longer side of what is looked at to tell masks from photos
_DARK, _LIGHT = 32, 224  # greys from the first to below the second are neither black nor white
_SPREAD = 48  # between the channels of a pixel that has a colour
_SAME = 16  # between the pixels of one colour, per channel
_COLOURED = 0.01  # share of coloured pixels above which a picture is in colours
_SOFT = 0.02  # share of greys above which the threshold is reported
_SOFT_EDGE = 0.3  # the same, of the smaller side alone; smoothed edges of one pixel stay below
_GREY = 0.5  # share of greys above which a picture is no mask


# How a mask's sender sees the hole, and what is known.
PAINTED, TRANSPARENT = ("white", "black"), ("transparent", "opaque")


@dataclass(frozen=True)
class Mask:
    """``image``: mode L, 255 = hole, 0 = known. ``warnings``: sentences for its sender."""

    image: Image.Image
    marks: tuple[str, str] = PAINTED
    warnings: list[str] = field(default_factory=list)


def decode_mask(data: bytes, name: str = "mask", limits: ImageLimits | None = None) -> Image.Image:
    """The picture of :func:`read_mask` alone."""
    return read_mask(data, name, limits).image


def read_mask(data: bytes, name: str = "mask", limits: ImageLimits | None = None) -> Mask:
    """A mask as an upload: white is the hole, split at 128, and transparency counts as known. A
    picture in colours that is transparent somewhere marks the hole by its transparency.

    Raises ImageProblem, 422 too for a picture that is no mask, such as a photo.
    """
    with opened(data, name, limits or ImageLimits()) as image:
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            if rgba.getchannel("A").getextrema() != (255, 255) and not _is_painted(rgba, name):
                result = f"The {name} is a picture in colours: its transparent part is filled."
                return _by_alpha(rgba, [result])
        flat = flatten(image, "black")
        _check_black_and_white(flat, name)
        grey = flat.convert("L")
        soft = (
            f"The {name} has soft edges, and a hole has none: what is at least half white (128 of "
            "255) is filled, the rest stays as it is."
        )
        return Mask(_binary(grey), PAINTED, [soft] if _is_soft(grey) else [])


def alpha_mask(
    data: bytes,
    name: str = "image",
    limits: ImageLimits | None = None,
    otherwise: str = "send a mask picture or a box",
) -> Mask:
    """The hole that a picture's transparency marks: where alpha is below 128. ``otherwise``: what
    its sender can do when it has none.
    """
    with opened(data, name, limits or ImageLimits()) as image:
        if not image.has_transparency_data:
            raise ImageProblem(
                f"{name} has no transparency, so it can't mark the hole; {otherwise}."
            )
        return _by_alpha(image.convert("RGBA"), [])


def box_mask(box: tuple[int, int, int, int], size: tuple[int, int]) -> Mask:
    """A rectangular hole: x, y, width, height in pixels of the upright photo of ``size``."""
    x, y, w, h = box
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > size[0] or y + h > size[1]:
        raise ImageProblem(
            f"the box {x},{y},{w},{h} does not lie inside the photo of {size[0]}×{size[1]} pixels; "
            "give x,y,width,height within it.",
        )
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rectangle((x, y, x + w - 1, y + h - 1), fill=255)
    return Mask(mask)


def check_mask(mask: Image.Image, size: tuple[int, int], marks: tuple[str, str] = PAINTED) -> None:
    """A usable mask has both colours, and the photo's ``size``."""
    hole, known = marks
    if mask.size != size:
        raise ImageProblem(
            f"the mask is {mask.width}×{mask.height} pixels but the photo is {size[0]}×{size[1]} "
            f"(after its EXIF rotation); send a mask of the photo's size, {hole} where it is to be "
            "filled."
        )
    low, high = mask.getextrema()
    if high == 0:
        raise ImageProblem(
            f"the mask is all {known}, so nothing is to be filled; make the hole {hole}."
        )
    if low == 255:
        raise ImageProblem(
            f"the mask is all {hole}, so nothing of the photo is known; make {hole} only what is "
            "to be filled."
        )


def _by_alpha(rgba: Image.Image, warnings: list[str]) -> Mask:
    alpha = rgba.getchannel("A")
    if _is_soft(alpha):
        warnings.append(
            "The transparency has soft edges, and a hole has none: where alpha is below 128 of 255 "
            "is filled, the rest stays as it is."
        )
    return Mask(ImageOps.invert(_binary(alpha)), TRANSPARENT, warnings)


def _is_painted(rgba: Image.Image, name: str) -> bool:
    """Whether the opaque part is painted in black and white; ImageProblem when it is painted in
    one other colour, which may mean anything.
    """
    sample = _sample(rgba)
    where = _binary(sample.getchannel("A"))
    if where.getbbox() is None:
        return True
    colours = sample.convert("RGB")
    if _coloured(colours, where) <= _COLOURED and not _is_grey_picture(colours, where):
        return True
    if all(high - low <= _SAME for low, high in ImageStat.Stat(colours, where).extrema):
        raise ImageProblem(
            f"{name} is painted in one colour on transparent; paint the hole in white."
        )
    return False


def _check_black_and_white(flat: Image.Image, name: str) -> None:
    sample = _sample(flat)
    where = Image.new("L", sample.size, 255)
    if _coloured(sample, where) > _COLOURED:
        what = "is in colours"
    elif _is_grey_picture(sample, where):
        what = "is mostly of greys"
    else:
        return
    raise ImageProblem(
        f"{name} {what}, as if it were a photo, so it doesn't say what is to be filled; send a "
        "black image of the photo's size, white where it is to be filled.",
    )


def _sample(image: Image.Image) -> Image.Image:
    scale = _SAMPLE / max(image.size)
    if scale >= 1:
        return image
    size = [max(round(side * scale), 1) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.NEAREST)


def _coloured(rgb: Image.Image, where: Image.Image) -> float:
    """Share of the pixels whose channels differ."""
    red, green, blue = rgb.split()
    high = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    low = ImageChops.darker(ImageChops.darker(red, green), blue)
    counts = ImageChops.difference(high, low).histogram(where)
    return sum(counts[_SPREAD + 1 :]) / sum(counts)


def _is_grey_picture(rgb: Image.Image, where: Image.Image) -> bool:
    return _greys(rgb.convert("L").histogram(where)) > _GREY


def _is_soft(plane: Image.Image) -> bool:
    """Whether its greys are more than smoothed or lossy edges, by all pixels or by those of the
    smaller side, as a small hole in a large photo has few of either.
    """
    counts = plane.histogram()
    light = sum(counts[THRESHOLD:])
    smaller = min(light, sum(counts) - light)
    greys = _greys(counts) * sum(counts)
    return greys > _SOFT * sum(counts) or greys > _SOFT_EDGE * smaller > 0


def _greys(counts: list[int]) -> float:
    """Share of the pixels that are neither dark nor light; none where there are two values only."""
    if sum(map(bool, counts)) <= 2:
        return 0.0
    return sum(counts[_DARK:_LIGHT]) / sum(counts)


def _binary(plane: Image.Image) -> Image.Image:
    return plane.point([255 if value >= THRESHOLD else 0 for value in range(256)])
