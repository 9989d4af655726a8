"""Batches of a photo folder: each sample from its own source, captions that fit and ones that do
not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.captions import Vocabulary
from models.data.layouts.base import DataError
from models.data.photos import Photos
from tests.models.data.photo_sets import WORDS, photos, record, sources

SAID = ("a red bird", "a blue bird", "a red flower", "a blue flower")


@pytest.fixture
def toy(tmp_path: Path) -> Photos:
    """Four photos in two classes with two captions each."""
    records = [
        record(tmp_path, k, SAID[2 * (k // 2) : 2 * (k // 2) + 2], f"class {k // 2}")
        for k in range(4)
    ]
    return photos(tmp_path, records, captions=2)


def words(data: Photos, ids: torch.Tensor, length: torch.Tensor) -> str:
    return " ".join(data.vocabulary.words[i] for i in ids[: int(length)].tolist())


def test_a_batch_has_the_shapes_of_the_contract(toy: Photos) -> None:
    batch = toy.batch("synthesis", [0, 1, 2], sources(3))
    assert batch.images.shape == (3, 3, 32, 32)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous()
    assert -1 <= batch.images.min() < batch.images.max() <= 1
    assert batch.ids.shape == (3, 3)
    assert batch.class_ids.tolist() == [0, 0, 1]
    assert batch.more_ids is not None
    assert batch.more_ids.shape == (3, 2, 3)
    assert batch.more_lengths is not None
    assert batch.more_lengths.shape == (3, 2)
    assert batch.source is None
    assert batch.known_mask is None
    assert {t.dtype for t in (batch.ids, batch.lengths, batch.class_ids)} == {torch.int64}


@pytest.mark.parametrize("part", ["damsm", "synthesis", "manipulation", "inpainting"])
def test_a_sample_depends_on_its_own_source_alone(toy: Photos, part: str) -> None:
    whole = toy.batch(part, [0, 1, 2, 3], sources(4))
    single = toy.batch(part, [2], sources(4)[2:3])
    assert torch.equal(whole.images[2:3], single.images)
    assert words(toy, whole.ids[2], whole.lengths[2]) == words(
        toy, single.ids[0], single.lengths[0]
    )
    if whole.known_mask is not None and single.known_mask is not None:
        assert torch.equal(whole.known_mask[2:3], single.known_mask)


def test_captions_fit_and_wrong_ones_are_of_another_class(toy: Photos) -> None:
    for seed in range(20):
        batch = toy.batch("damsm", [0, 3], sources(2, seed))
        for k, index in enumerate((0, 3)):
            assert words(toy, batch.ids[k], batch.lengths[k]) in toy.caption_texts(index)
            wrong = words(toy, batch.negative_ids[k], batch.negative_lengths[k])
            assert wrong in toy.caption_texts(3 - index)


def test_without_classes_wrong_captions_are_of_another_photo(tmp_path: Path) -> None:
    data = photos(tmp_path, [record(tmp_path, k, (SAID[k],)) for k in range(3)])
    assert len(set(data.batch("damsm", [0, 1, 2], sources(3)).class_ids.tolist())) == 3
    for seed in range(20):
        batch = data.batch("damsm", [1], sources(1, seed))
        assert not torch.equal(batch.ids, batch.negative_ids)


def test_a_rare_other_class_is_found(tmp_path: Path) -> None:
    records = [record(tmp_path, k, ("a red bird",), "many") for k in range(30)]
    data = photos(tmp_path, [*records, record(tmp_path, 30, ("a blue flower",), "one")])
    batch = data.batch("damsm", list(range(30)), sources(30))
    said = {
        words(data, i, n) for i, n in zip(batch.negative_ids, batch.negative_lengths, strict=True)
    }
    assert said == {"a blue flower"}


def test_a_single_photo_can_be_opened(tmp_path: Path) -> None:
    data = photos(tmp_path, [record(tmp_path, 0)])
    assert len(data.batch("damsm", [0], sources(1)).negative_ids) == 1


def test_a_photo_is_not_mirrored_when_its_caption_says_left(tmp_path: Path) -> None:
    sided = photos(tmp_path, [record(tmp_path, 0, ("left of a tree",))], size=64)
    free = photos(tmp_path, [record(tmp_path, 0, ("a tree",))], size=64)
    plain = np.asarray(sided.photo(0), np.float32)[..., 0]
    mirrored = [_mirrored(d, plain) for d in (sided, free)]
    assert mirrored[0] == 0
    assert 5 < mirrored[1] < 25


def _mirrored(data: Photos, plain: np.ndarray) -> int:
    """How many of 30 pictures lie nearer to the mirrored photo."""
    images = data.batch("damsm", [0] * 30, sources(30)).images[:, 0].numpy() * 127.5 + 127.5
    nearer = np.abs(images - plain[:, ::-1]).sum((1, 2)) < np.abs(images - plain).sum((1, 2))
    return int(nearer.sum())


def test_without_augmentation_pictures_are_the_photos(tmp_path: Path) -> None:
    data = photos(tmp_path, [record(tmp_path, k) for k in range(3)], augment=False)
    assert [r.key for r in data.records] == ["0.jpg", "1.jpg", "2.jpg"]
    images = data.batch("damsm", [0, 1, 2, 1], sources(4)).images.permute(0, 2, 3, 1).numpy()
    for image, index in zip(images, (0, 1, 2, 1), strict=True):
        assert np.array_equal(np.round(image * 127.5 + 127.5), np.asarray(data.photo(index)))


def test_long_captions_are_thinned_in_their_order(tmp_path: Path) -> None:
    names = [f"w{k}" for k in range(40)]
    data = photos(tmp_path, [record(tmp_path, 0, (" ".join(names),))], words=(WORDS[0], *names))
    drawn = [data.batch("damsm", [0], sources(1, seed)).ids[0] for seed in range(5)]
    assert all(len(ids) == data.max_words and (ids.diff() > 0).all() for ids in drawn)
    assert not all(torch.equal(drawn[0], ids) for ids in drawn[1:])


def test_two_thirds_of_a_short_caption_are_long_enough(tmp_path: Path) -> None:
    short, long = "a red bird on a blue zorgly tree", "a red bird " * 4  # zorgly is not known
    known = Vocabulary(WORDS).encode(short).ids
    rows = [record(tmp_path, k, (long,) if k else (short, long)) for k in range(3)]
    assert photos(tmp_path, rows).min_words == len(known) * 2 // 3


def test_photos_without_known_words_or_broken_ones_are_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record(tmp_path, k) for k in range(4)]
    records[1].path.write_bytes(b"no photo")
    records[2] = record(tmp_path, 2, ("zzz", "xyz"))
    records[3] = record(tmp_path, 3, ("zzz", "a blue bird"))
    data = photos(tmp_path, records)
    assert data.dropped == ("1.jpg", "2.jpg")
    assert data.keys == ("0.jpg", "3.jpg")
    assert data.caption_texts(1) == ("a blue bird",)
    assert "2 left out (1.jpg, 2.jpg)" in capsys.readouterr().err
    expected = photos(tmp_path, records[3:]).photo(0)
    assert np.array_equal(np.asarray(data.photo(1)), np.asarray(expected))


def test_captions_are_encoded_as_the_vocabulary_does(tmp_path: Path) -> None:
    texts = ("A red-blue BIRD, left\ufffd\ufffdof caf\u00e9 <end> \u6a39!", "red, red tree.")
    data = photos(tmp_path, [record(tmp_path, 0, texts)])
    expected = {data.vocabulary.encode(text).ids for text in texts}
    drawn = [data.batch("damsm", [0], sources(1, seed)).ids[0] for seed in range(20)]
    assert {tuple(ids.tolist()) for ids in drawn} == expected


def test_a_manipulation_batch_starts_from_its_own_picture(toy: Photos) -> None:
    batch = toy.batch("manipulation", [0, 2], sources(2))
    assert batch.source is not None
    assert torch.equal(batch.source, batch.images)


def test_holes_are_planes_of_zeros_and_ones(toy: Photos) -> None:
    hole = toy.batch("inpainting", [0, 1] * 20, sources(40)).known_mask
    assert hole is not None
    assert hole.shape == (40, 1, 32, 32)
    assert hole.dtype == torch.float32
    assert set(hole.unique().tolist()) == {0, 1}


def test_holes_follow_the_object_where_a_mask_is_known(tmp_path: Path) -> None:
    data = photos(tmp_path, [record(tmp_path, 0, ("left of a tree",), mask=True)])
    hole = data.batch("inpainting", [0] * 60, sources(60)).known_mask
    assert hole is not None
    left = [not h[0, :, :10].any() and bool(h[0, :, 25:].all()) for h in hole]
    assert 15 < sum(left) < 45


def test_masks_and_photos_for_evaluation(tmp_path: Path) -> None:
    records = [record(tmp_path, 0, class_name="x", mask=True), record(tmp_path, 1)]
    data = photos(tmp_path, records)
    assert data.photo(0).size == (32, 32)
    assert data.photo(0).mode == "RGB"
    assert data.class_of(0) == "x"
    mask = data.object_mask(0)
    assert mask is not None
    assert np.asarray(mask)[:, :14].all()
    assert not np.asarray(mask)[:, 18:].any()
    assert data.object_mask(1) is None


def test_a_limit_spreads_over_the_whole_split(tmp_path: Path) -> None:
    data = photos(tmp_path, [record(tmp_path, k) for k in range(9)], limit=3)
    assert data.keys == ("0.jpg", "3.jpg", "6.jpg")


def test_the_fingerprint_tells_settings_apart(tmp_path: Path) -> None:
    records = [record(tmp_path, k) for k in range(3)]
    variants = [
        photos(tmp_path, records),
        photos(tmp_path, records, size=16),
        photos(tmp_path, records, captions=1),
        photos(tmp_path, records, augment=False),
        photos(tmp_path, records, limit=2),
        photos(tmp_path, records, words=WORDS[:5]),
    ]
    assert len({v.fingerprint for v in variants}) == len(variants)
    assert photos(tmp_path, records).fingerprint == variants[0].fingerprint


def test_what_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    records = [record(tmp_path, 0)]
    with pytest.raises(DataError, match="no split 'test'; choose one of train"):
        photos(tmp_path, records, split="test")
    with pytest.raises(DataError, match="no usable photo"):
        photos(tmp_path, records, words=(WORDS[0], "other"))


def test_tight_photos_are_mirrored_and_never_cropped(tmp_path: Path) -> None:
    records = [replace(record(tmp_path, k, SAID[:2], "a"), tight=True) for k in range(2)]
    data = photos(tmp_path, records)
    whole = torch.from_numpy(np.array(data.photo(0))).permute(2, 0, 1).float() / 127.5 - 1
    seen = [data.batch("synthesis", [0], sources(1, seed)).images[0] for seed in range(12)]
    same = [torch.allclose(x, whole) for x in seen]
    mirrored = [torch.allclose(x, whole.flip(2)) for x in seen]
    assert all(a or b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)
