"""Masks, as files and as JSON values."""

# ruff: noqa: E501 (one line for each case)
from __future__ import annotations

import io

from PIL import Image

from tests.app.gateway.malformed.requests import (
    BROKEN,
    CONVERT,
    FORMS,
    LARGE,
    with_mask,
    with_mask_value,
)
from tests.picture_files import exif, header, mask, photo, png, saved

OPAQUE = png()
CLEAR = saved(Image.new("RGBA", (40, 30), (1, 2, 3, 0)))
ROTATED = saved(photo(40, 30), "JPEG", exif=exif(6))
MASKS = [
    with_mask("mask of another size", 422, "send a mask of the photo's size", mask(30, 40)),
    with_mask("mask of the photo before its rotation", 422, "after its EXIF rotation", mask(40, 30), ROTATED),
    with_mask("mask of the photo after its rotation", 202, "", mask(30, 40), ROTATED),
    with_mask("black mask", 422, "make the hole white", saved(Image.new("L", (40, 30), 0))),
    with_mask("dark grey mask", 422, "make the hole white", saved(Image.new("L", (40, 30), 127))),
    with_mask("white mask", 422, "make white only what", saved(Image.new("1", (40, 30), 1))),
    with_mask("transparent mask", 422, "make the hole white", saved(Image.new("RGBA", (40, 30), (255, 255, 255, 0)))),
    with_mask("mask of colours", 202, "", mask(mode="RGB")),
    with_mask("mask as a lossy jpeg", 202, "", saved(Image.open(io.BytesIO(mask())), "JPEG", quality=30)),
    with_mask("mask that is text", 415, CONVERT, b"white"),
    with_mask("mask that is cut off", 422, BROKEN, mask()[:60]),
    with_mask("mask of a hundred megapixels", 413, LARGE, png(head=header(10_000, 10_000))),
    with_mask("empty mask", 422, "mask is an empty file", b""),
    with_mask("sound mask, broken photo", 422, BROKEN, mask(), png()[:60]),
    with_mask_value("box outside of the photo", 422, "does not lie inside the photo of 40×30", "35,5,10,10"),
    with_mask_value("box left of the photo", 422, "does not lie inside the photo", "-5,5,10,10"),
    with_mask_value("box without width", 422, "does not lie inside the photo", [5, 5, 0, 10]),
    with_mask_value("box of the whole photo", 422, "all white", "0,0,40,30"),
    with_mask_value("box of five numbers", 422, FORMS, "1,2,3,4,5"),
    with_mask_value("list of three numbers", 422, FORMS, [1, 2, 3]),
    with_mask_value("list of fractions", 422, "four whole numbers", [1.5, 2, 3, 4]),
    with_mask_value("list of whole numbers as fractions", 202, "", [1.0, 2, 8.0, 4]),
    with_mask_value("list with infinity", 422, "four whole numbers", [float("inf"), 2, 3, 4]),
    with_mask_value("list of words", 422, "four whole numbers", ["1", "2", "3", "4"]),
    with_mask_value("list of booleans", 422, "four whole numbers", [True, True, True, True]),
    with_mask_value("empty list", 422, "mask must be a file", []),
    with_mask_value("box of 5000 digits", 422, FORMS, "1" * 5000 + ",1,1,1"),
    with_mask_value("list of 4000 digits", 422, FORMS, [10**4000, 1, 1, 1]),
    with_mask_value("box of other digits", 422, FORMS, "١,٢,٣,٤"),
    with_mask_value("nested list", 422, "four whole numbers", [[[[[1]]]], 1, 1, 1]),
    with_mask_value("mask that is an object", 422, "mask must be a file", {"x": 5}),
    with_mask_value("mask that is null", 422, "mask is missing", None),
    with_mask_value("mask that is true", 422, "mask must be a file", True),
    with_mask_value("alpha of an opaque photo", 422, "no transparency", "alpha"),
    with_mask_value("alpha of a clear photo", 422, "all transparent", "alpha", CLEAR),
    with_mask_value("mask of a job that never was", 422, "there never was; send a picture", "/jobs/" + "0" * 32 + "/images/0"),
]  # fmt: skip
