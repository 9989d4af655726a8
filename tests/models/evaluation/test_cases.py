"""What is asked of the pipelines: Aviary and photos."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.data.aviary.drawing import COLOUR_NAMES, PARTS
from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.held_out_photos import HeldOutPhotos
from models.evaluation.manipulation import recolour
from models.evaluation.pictures import as_array
from models.evaluation.runner import derangement


def test_aviary_samples_do_not_depend_on_their_number() -> None:
    data = HeldOutAviary("test")
    few, more = data.synthesis(2, 32), data.synthesis(4, 32)
    assert [c.caption for c in few] == [c.caption for c in more[:2]]
    assert [c.seed for c in few] == [c.seed for c in more[:2]]
    assert len({c.seed for c in more}) == 4


def test_splits_and_seeds_differ() -> None:
    captions = [
        tuple(c.caption for c in HeldOutAviary(split, seed).synthesis(4, 32))
        for split, seed in (("test", 0), ("test", 1), ("validation", 0))
    ]
    assert len(set(captions)) == 3


def test_captions_name_the_counted_parts() -> None:
    for case in HeldOutAviary("test").synthesis(20, 32):
        assert case.truth is not None
        assert case.counted is not None
        assert 2 <= case.counted.sum() <= 6
        colours = {COLOUR_NAMES[k] for k in case.truth[case.counted]}
        synonyms = {"gray": "grey", "violet": "purple"}
        words = {synonyms.get(w.strip(".,"), w.strip(".,")) for w in case.caption.split()}
        assert colours <= words


def test_edits_change_only_what_the_caption_names() -> None:
    for case in HeldOutAviary("test").manipulation(12, 32):
        assert case.target is not None
        assert case.kept is not None
        assert case.edited is not None
        assert case.counted is not None
        assert (case.counted | ~case.edited).all()
        change = np.abs(as_array(case.target) - as_array(case.picture)).max(2)
        assert change[case.kept].max() <= 2 / 255
        assert change[~case.kept].max() > 0.1


def test_object_holes_hide_a_named_part() -> None:
    cases = HeldOutAviary("test").inpainting(12, 64, "object")
    assert all(c.counted is not None and c.counted.any() for c in cases)
    assert all(c.mask is not None and c.mask.size == (64, 64) for c in cases)


def test_pictures_alike_share_the_named_colours() -> None:
    data = HeldOutAviary("test")
    assert len(data.alike(0, 3, 32)) == 3
    assert len(PARTS) == 6


class Folder:
    """Twelve plain photos in three classes, captions that say which."""

    name = "plain"
    domain = "photos"
    fingerprint = "plain-1"

    def __len__(self) -> int:
        return 12

    def photo(self, index: int) -> Image.Image:
        return Image.new("RGB", (40, 40), (index * 20, 0, 0))

    def caption_texts(self, index: int) -> tuple[str, ...]:
        return f"class {index % 3}", f"a photo of class {index % 3}"

    def class_of(self, index: int) -> int:
        return index % 3

    def object_mask(self, index: int) -> Image.Image | None:
        if index % 2:
            return None
        mask = Image.new("L", (40, 40), 0)
        mask.paste(255, (10, 10, 30, 30))
        return mask


def test_photos_pair_with_captions_of_another_class() -> None:
    data = HeldOutPhotos(Folder(), "test")
    own = [int(c.caption[-1]) for c in data.synthesis(12, 32)]
    other = [int(c.caption[-1]) for c in data.manipulation(12, 32)]
    assert all(a != b for a, b in zip(own, other, strict=True))


def test_photos_without_a_known_object_are_left_out() -> None:
    data = HeldOutPhotos(Folder(), "test")
    assert len(data.inpainting(12, 32, "object")) == 6
    masks = [c.mask for c in data.inpainting(2, 32, "center")]
    assert all(m is not None and np.asarray(m).mean() == 255 / 4 for m in masks)


def test_photo_references_are_further_photos() -> None:
    data = HeldOutPhotos(Folder(), "test")
    asked, further = data.order[:7], data.references(7, 32)
    assert sorted([*asked, *further.indices]) == list(range(12))
    reds = [np.asarray(p)[0, 0, 0] for p in further[:]]
    assert reds == [k * 20 for k in further.indices]
    assert not len(data.references(12, 32))
    assert len(data.alike(0, 3, 32)) == 3


def test_recolour_moves_the_mean_to_the_named_colour() -> None:
    photo = Image.new("RGB", (8, 8), (100, 100, 100))
    pixel = recolour(photo, "a bird with a violet crown").getpixel((0, 0))
    assert pixel == pytest.approx((0.52 * 255, 0.18 * 255, 0.66 * 255), abs=1)
    assert recolour(photo, "a small bird") is photo


@pytest.mark.parametrize("count", [2, 3, 10])
def test_derangement_leaves_nothing_in_place(count: int) -> None:
    others = derangement(count, 0)
    assert sorted(others) == list(range(count))
    assert all(k != o for k, o in enumerate(others))
