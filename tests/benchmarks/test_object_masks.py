"""Outlines of things in photos."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.object_masks import OutlinedPhotos, outline

BIRD = (20, 14, 46, 54)


def photo(noise: float = 12.0) -> Image.Image:
    """A red thing on noisy green."""
    picture = Image.new("RGB", (64, 64), (60, 140, 70))
    ImageDraw.Draw(picture).ellipse(BIRD, fill=(190, 40, 40))
    grain = np.random.default_rng(0).normal(0, noise, (64, 64, 3))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def test_the_thing_in_the_middle_is_cut_out() -> None:
    truth = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(truth).ellipse(BIRD, fill=255)
    found = outline(photo())
    assert found is not None
    a, b = (np.asarray(x) > 0 for x in (found, truth))
    assert (a & b).sum() / (a | b).sum() > 0.9
    again = outline(photo())
    assert again is not None
    assert again.tobytes() == found.tobytes()


class Birds:
    """Photos with captions, the second of them of nothing."""

    name, domain, fingerprint = "birds", "birds", "x"

    def __len__(self) -> int:
        return 3

    def photo(self, index: int) -> Image.Image:
        return Image.new("RGB", (64, 64), (90, 90, 90)) if index == 1 else photo()

    def caption_texts(self, index: int) -> tuple[str, ...]:
        return (f"bird {index}",)

    def class_of(self, index: int) -> int:
        return index


@pytest.mark.parametrize(("kind", "birds"), [("object", {"bird 0", "bird 2"}), ("center", set())])
def test_holes_are_outlined_objects_alone(kind: str, birds: set[str]) -> None:
    cases = OutlinedPhotos(Birds(), "validation").inpainting(3, 64, kind)
    assert {case.caption for case in cases} == birds
