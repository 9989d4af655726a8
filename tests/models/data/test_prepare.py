import os
from pathlib import Path

import pytest

from jobs.captions import END
from models.data.layouts.base import DataError, Record
from models.data.prepare import Prepared, prepare, prepared_for
from models.data.sources import open_listing
from models.data.split import divide
from tests.models.data import made_sets


def records(classes: int, each: int) -> list[Record]:
    return [
        Record(f"{k}/{n}", Path(), ("x",), f"class {k}" if classes > 1 else "")
        for k in range(classes)
        for n in range(each)
    ]


def classes_of(split: dict[str, tuple[str, ...]], name: str) -> set[str]:
    return {key.split("/")[0] for key in split[name]}


def test_whole_classes_are_held_out_and_validate() -> None:
    split = divide(records(20, 3), frozenset({"class 4"}), validation=0.1, seed=0)
    assert classes_of(split, "test") == {"4"}
    assert len(classes_of(split, "validation")) == 2
    assert not classes_of(split, "train") & classes_of(split, "validation")
    assert sum(map(len, split.values())) == 60


def test_without_held_out_a_tenth_tests() -> None:
    assert (
        len(classes_of(divide(records(20, 3), frozenset(), validation=0.05, seed=0), "test")) == 2
    )
    split = divide(records(1, 1000), frozenset(), validation=0.05, seed=0)
    assert 70 < len(split["test"]) < 130
    assert 25 < len(split["validation"]) < 65


def test_photos_that_join_later_move_no_others() -> None:
    before, after = (
        divide(records(1, count), frozenset(), validation=0.1, seed=0) for count in (300, 400)
    )
    assert all(set(keys) <= set(after[name]) for name, keys in before.items())


def test_held_out_photos_make_photos_validate() -> None:
    split = divide(records(5, 40), frozenset({"0/0", "1/0"}), validation=0.2, seed=0)
    assert set(split["test"]) == {"0/0", "1/0"}
    assert len(classes_of(split, "validation") & classes_of(split, "train")) == 5


def test_split_follows_from_the_seed() -> None:
    one, two, other = (
        divide(records(20, 3), frozenset(), validation=0.2, seed=seed) for seed in (0, 0, 1)
    )
    assert one == two
    assert one != other


@pytest.mark.parametrize("count", [2, 3, 4])
def test_two_photos_always_train(count: int) -> None:
    assert len(divide(records(1, count), frozenset(), validation=0.5, seed=0)["train"]) == 2


def test_too_little_is_refused() -> None:
    with pytest.raises(DataError, match="needs 2 readable photos"):
        divide(records(1, 1), frozenset(), validation=0.1, seed=0)
    with pytest.raises(DataError, match="2 photos beside those held out; of 3 there is 1"):
        divide(records(1, 3), frozenset({"0/0", "0/1"}), validation=0.1, seed=0)
    with pytest.raises(DataError, match="Every photo is held out"):
        divide(records(1, 2), frozenset({"0/0", "0/1"}), validation=0.1, seed=0)


def test_prepare_writes_what_open_reads(tmp_path: Path) -> None:
    listing = open_listing(made_sets.flowers(tmp_path / "set"))
    written = prepare(listing, tmp_path / "out")
    assert Prepared.open(tmp_path / "out") == written
    assert classes_of(written.split, "test") == {"image_00003.jpg", "image_00004.jpg"}
    assert sorted(p.name for p in written.folder.iterdir()) == ["prepared.json", "vocabulary.json"]


def test_vocabulary_holds_frequent_words_of_training_captions(tmp_path: Path) -> None:
    made_sets.plain(tmp_path / "set", 10)
    made_sets.text(tmp_path / "set" / "photo5.txt", "a rare bird", "a bird")
    made_sets.text(tmp_path / "set" / "photo4.txt", *["held back"] * 9)
    made_sets.text(tmp_path / "split.txt", "photo4.png")
    listing = open_listing(tmp_path / "set", tmp_path / "split.txt")
    words = prepare(listing, tmp_path / "out").words
    assert words == (END, "a", "bird", "green", "red")
    assert "rare" in prepare(listing, tmp_path / "out", least=1).words


def test_broken_and_mute_photos_are_left_out(tmp_path: Path) -> None:
    folder = made_sets.plain(tmp_path / "set")
    data = (folder / "photo0.png").read_bytes()
    (folder / "photo0.png").write_bytes(data[: len(data) // 2])
    made_sets.text(folder / "photo1.txt")
    written = prepare(open_listing(folder), tmp_path / "out")
    assert written.left_out == ("photo0.png", "photo1.png")
    assert sum(map(len, written.split.values())) == 4


def test_content_is_that_of_photos_and_captions_alone(tmp_path: Path) -> None:
    one = prepare(open_listing(made_sets.plain(tmp_path / "one")), tmp_path / "a")
    two = prepare(open_listing(made_sets.plain(tmp_path / "two")), tmp_path / "b", seed=1)
    assert one.content == two.content
    made_sets.text(tmp_path / "two" / "photo0.txt", "another caption")
    assert prepare(open_listing(tmp_path / "two"), tmp_path / "b").content != one.content


def test_nothing_is_written_into_the_data_set(tmp_path: Path) -> None:
    folder = made_sets.plain(tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    listing = open_listing(folder)
    for out in (folder, folder / "out", tmp_path / "x" / ".." / "set" / "out"):
        with pytest.raises(DataError, match="lies inside the data set"):
            prepare(listing, out)
        with pytest.raises(DataError, match="lies inside the data set"):
            prepared_for(listing, out)
    prepare(listing, tmp_path / "out")
    prepared_for(listing, tmp_path / "cache")
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before


def test_an_impossible_folder_is_refused(tmp_path: Path) -> None:
    made_sets.text(tmp_path / "file")
    with pytest.raises(DataError, match="Cannot create the folder"):
        prepare(open_listing(made_sets.plain(tmp_path / "set")), tmp_path / "file" / "out")


def test_cache_serves_until_the_data_changes(tmp_path: Path) -> None:
    folder, cache = made_sets.plain(tmp_path / "set"), tmp_path / "cache"
    first = prepared_for(open_listing(folder), cache)
    assert prepared_for(open_listing(folder), cache) == first
    os.utime(folder / "photo0.png", ns=(1, 1))
    assert prepared_for(open_listing(folder), cache).folder != first.folder
    made_sets.text(folder / "photo0.txt", "a new caption")
    third = prepared_for(open_listing(folder), cache)
    assert third.content != first.content
    assert all(path.name.startswith("prepared-") for path in cache.iterdir())


def test_a_folder_without_manifest_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="python -m models data prepare DIR --out"):
        Prepared.open(tmp_path)
    made_sets.text(tmp_path / "prepared.json", '{"format": 0}')
    with pytest.raises(DataError, match="prepare the data anew"):
        Prepared.open(tmp_path)


@pytest.mark.parametrize(("photos", "least"), [(3, 1), (8, 2), (12, 2), (20, 2)])
def test_what_is_held_out_can_be_measured(tmp_path: Path, photos: int, least: int) -> None:
    listing = open_listing(made_sets.plain(tmp_path / "set", photos))
    assert len(prepare(listing, tmp_path / "out").split["test"]) >= least
