"""Masks as people send them: used as they mean, or refused with a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from jobs.errors import ImageProblem
from jobs.masks import alpha_mask, box_mask, check_mask, decode_mask, read_mask
from tests.picture_files import photo as a_photo
from tests.picture_files import saved

HOLE = (20, 10, 60, 40)
SIZE = (100, 80)


def drawn(mode: str = "L", hole: object = 255, rest: object = 0) -> Image.Image:
    image = Image.new(mode, SIZE, rest)  # type: ignore[arg-type]
    ImageDraw.Draw(image).rectangle(
        (HOLE[0], HOLE[1], HOLE[2] - 1, HOLE[3] - 1),
        fill=hole,  # type: ignore[arg-type]
    )
    return image


def scene(mode: str = "RGB") -> Image.Image:
    """As a photo has it: shades of many colours."""
    ramp = np.add.outer(np.arange(SIZE[1]), np.arange(SIZE[0])) % 256
    pixels = np.stack([ramp, 255 - ramp, ramp // 2 + 60], 2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def erased(mode: str = "RGBA", to: int = 0) -> Image.Image:
    image = scene("LA" if mode == "LA" else "RGB").convert("RGBA")
    image.putalpha(drawn("L", to, 255))
    return image.convert(mode)


def test_mask_is_split_at_half() -> None:
    grey = Image.fromarray(np.array([[0, 127, 128, 255]] * 64, np.uint8).repeat([30, 4, 4, 30], 1))
    assert sorted(set(np.asarray(decode_mask(saved(grey)))[0])) == [0, 255]
    assert list(np.asarray(decode_mask(saved(grey)))[0][[0, 31, 35, 60]]) == [0, 0, 255, 255]


def test_photo_transparency_as_mask() -> None:
    image = Image.new("RGBA", (20, 20), (9, 9, 9, 255))
    image.paste((0, 0, 0, 0), (5, 5, 10, 10))
    mask = np.asarray(alpha_mask(saved(image)).image)
    assert mask[6, 6] == 255
    assert mask[0, 0] == 0
    assert mask.mean() / 255 == pytest.approx(25 / 400)


def test_opaque_photo_has_no_alpha_mask() -> None:
    with pytest.raises(ImageProblem, match="no transparency"):
        alpha_mask(saved(a_photo()))


def test_box_mask_lies_inside() -> None:
    mask = np.asarray(box_mask((2, 3, 4, 5), (20, 20)).image)
    assert mask.sum() // 255 == 20
    assert mask[3, 2] == mask[7, 5] == 255
    for box in ((18, 0, 5, 5), (-1, 0, 5, 5), (0, 0, 0, 5)):
        with pytest.raises(ImageProblem, match="inside the photo"):
            box_mask(box, (20, 20))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (Image.new("L", (10, 30), 255), "send a mask of the photo's size"),
        (Image.new("L", (40, 30), 0), "all black"),
        (Image.new("L", (40, 30), 255), "all white"),
    ],
)
def test_unusable_masks(mask: Image.Image, words: str) -> None:
    with pytest.raises(ImageProblem, match=words) as caught:
        check_mask(mask, a_photo().size)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "image", [scene(), scene("P"), drawn("RGB", "red"), drawn("RGB", "yellow", "blue")]
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_in_colours_are_no_masks(image: Image.Image, kind: str) -> None:
    data = saved(image if kind == "PNG" else image.convert("RGB"), kind)
    with pytest.raises(ImageProblem, match="is in colours, as if it were a photo") as caught:
        read_mask(data)
    assert caught.value.status == 422


@pytest.mark.parametrize("image", [scene("L"), Image.linear_gradient("L")])
def test_pictures_of_many_greys_are_no_masks(image: Image.Image) -> None:
    with pytest.raises(ImageProblem, match="is mostly of greys"):
        read_mask(saved(image))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_photo_with_its_hole_erased_marks_it_by_alpha(mode: str) -> None:
    mask = read_mask(saved(erased(mode)))
    assert mask.image.getbbox() == HOLE
    assert "transparent part is filled" in mask.warnings[0]


def test_a_palette_with_a_transparent_entry_marks_it_too() -> None:
    image = scene().quantize(8)
    image.putpalette([*image.getpalette()[:24], 0, 0, 0])  # type: ignore[index]
    image.paste(8, HOLE)
    mask = read_mask(saved(image, transparency=8))
    assert mask.image.getbbox() == HOLE


@pytest.mark.parametrize(
    "image",
    [
        drawn("RGBA", (255, 255, 255, 255), (0, 0, 0, 0)),
        drawn("RGBA", (255, 255, 255, 180), (255, 255, 255, 0)),
        drawn("LA", (255, 255), (0, 255)),
        drawn("L", 200, 30),
        drawn("1", 1),
        drawn().convert("P"),
    ],
)
def test_what_is_painted_in_white_is_the_hole(image: Image.Image) -> None:
    mask = read_mask(saved(image))
    assert mask.image.getbbox() == HOLE
    assert not mask.warnings


@pytest.mark.parametrize("colour", ["red", "green", (40, 90, 220)])
def test_strokes_of_one_colour_on_transparent_are_refused(colour: object) -> None:
    image = drawn("RGBA", colour, (0, 0, 0, 0))
    with pytest.raises(ImageProblem, match="paint the hole in white"):
        read_mask(saved(image))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_masks_are_masks(kind: str) -> None:
    mask = read_mask(saved(drawn().convert("RGB"), kind, quality=30))
    assert mask.image.getbbox() == HOLE


def test_a_soft_edge_is_split_in_the_middle_and_told() -> None:
    mask = read_mask(saved(drawn().filter(ImageFilter.GaussianBlur(4))))
    assert mask.image.getbbox() == HOLE
    assert mask.warnings == ["The mask has soft edges: what is at least half white is filled."]


def test_a_soft_eraser_is_told() -> None:
    image = scene("RGBA")
    image.putalpha(drawn("L", 0, 255).filter(ImageFilter.GaussianBlur(4)))
    mask = alpha_mask(saved(image))
    assert mask.image.getbbox() == HOLE
    assert "soft edges" in mask.warnings[0]
    assert not alpha_mask(saved(erased())).warnings
