import json
from pathlib import Path

import numpy as np
import pytest

from models.data.layouts.base import DataError
from models.data.layouts.cub import square_box
from models.data.sources import open_listing
from tests.models.data import made_sets

SHARED = Path(__file__).parents[5] / "shared" / "data"


def test_cub(tmp_path: Path) -> None:
    listing = open_listing(made_sets.cub(tmp_path))
    first = listing.records[0]
    assert (listing.layout, len(listing.records)) == ("cub", 8)
    assert first.key == "001.Bird_1/Bird_1_0.jpg"
    assert first.class_name == "001.Bird_1"
    assert first.captions == made_sets.CAPTIONS
    assert first.box == (35, 20, 30, 30)
    assert listing.held_out == {r.key for r in listing.records if r.key.endswith("_0.jpg")}


def test_cub_of_cropped_photos_has_no_boxes_and_its_own_classes_held_out(tmp_path: Path) -> None:
    made_sets.cub(tmp_path)
    made_sets.text(tmp_path / "crops.json", "{}")
    made_sets.text(tmp_path / "class_split.json", '{"test_classes": ["002.Bird_2"]}')
    listing = open_listing(tmp_path)
    assert all(record.box is None for record in listing.records)
    assert listing.held_out == {"002.Bird_2"}


def test_cub_captions_under_their_authors_name(tmp_path: Path) -> None:
    made_sets.cub(tmp_path)
    (tmp_path / "text").rename(tmp_path / "text_c10")
    assert open_listing(tmp_path).records[0].captions == made_sets.CAPTIONS


def test_cub_tables_that_disagree_are_named(tmp_path: Path) -> None:
    made_sets.cub(tmp_path)
    made_sets.text(tmp_path / "classes.txt", "1 001.Bird_1")
    with pytest.raises(DataError, match=r"classes\.txt do not cover number '2'"):
        open_listing(tmp_path)


@pytest.mark.parametrize(
    ("box", "tight"),
    [("40.0 30.0 20.0 10.0", False), ("0.0 0.0 100.0 80.0", True), ("2.0 0.0 96.0 79.0", True)],
)
def test_cub_boxes_that_fill_the_photo_leave_no_room_for_crops(
    tmp_path: Path, box: str, tight: bool
) -> None:
    made_sets.cub(tmp_path)
    boxes = tmp_path / "bounding_boxes.txt"
    boxes.write_text("".join(f"{k} {box}\n" for k in range(1, 9)))
    assert {record.tight for record in open_listing(tmp_path).records} == {tight}


def test_square_box_is_clipped_to_the_photo() -> None:
    assert square_box((0, 0, 40, 20), (100, 80)) == (0, 0, 50, 40)
    assert square_box((70, 60, 30, 20), (100, 80)) == (63, 48, 37, 32)


def test_flowers(tmp_path: Path) -> None:
    listing = open_listing(made_sets.flowers(tmp_path))
    assert listing.layout == "flowers"
    assert listing.held_out == {"class_00002"}
    assert listing.records[2].class_name == "class_00002"
    assert listing.records[0].captions == ("a pink flower", "pink")  # a lone dot is no caption


def test_flowers_without_captions_are_listed(tmp_path: Path) -> None:
    made_sets.flowers(tmp_path)
    made_sets.photo(tmp_path / "jpg" / "image_00099.jpg")
    assert open_listing(tmp_path).records[-1].captions == ()


def test_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = open_listing(made_sets.coco(tmp_path))
    assert len(listing.records) == 6
    assert listing.records[0].key == "train2017/000000000001.jpg"
    assert listing.records[0].captions == ("a cat on a mat.",)
    assert listing.held_out == {r.key for r in listing.records[3:]}
    assert capsys.readouterr().out == ""


def test_coco_mask_is_every_part_of_the_largest_instance(tmp_path: Path) -> None:
    listing = open_listing(made_sets.coco(tmp_path))
    draw = listing.records[0].object_mask
    assert draw is not None
    mask = draw()
    expected = np.zeros((30, 40), bool)
    expected[10:18, 10:18] = expected[10:18, 20:28] = True
    assert mask.dtype == bool
    assert (mask == expected).mean() > 0.98  # pycocotools rounds polygons its own way
    assert not mask[:5, :5].any()
    empty = listing.records[2].object_mask
    assert empty is not None
    assert empty() is None


def test_coco_of_one_split_holds_nothing_out(tmp_path: Path) -> None:
    made_sets.coco(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    listing = open_listing(tmp_path)
    assert len(listing.records) == 3
    assert listing.held_out == frozenset()


def test_a_photo_of_two_years_is_there_once_and_held_out_where_one_is(tmp_path: Path) -> None:
    made_sets.coco(tmp_path)
    train = tmp_path / "annotations" / "captions_train2017.json"
    notes = json.loads(train.read_text(encoding="utf-8"))
    (image, *_) = notes["images"]
    image["file_name"] = "COCO_val2014_000000000001.jpg"
    made_sets.photo(tmp_path / "val2014" / image["file_name"])
    made_sets.text(
        tmp_path / "annotations" / "captions_val2014.json", json.dumps({**notes, "images": [image]})
    )
    listing = open_listing(tmp_path)
    trained = [record.key for record in listing.records if record.key not in listing.held_out]
    assert trained == ["train2017/000000000002.jpg", "train2017/000000000003.jpg"]
    assert "val2014/COCO_val2014_000000000001.jpg" in listing.held_out
    assert len(listing.held_out) == 4
    assert listing.skipped == (
        "train2017/000000000001.jpg is val2014/COCO_val2014_000000000001.jpg again",
    )


def test_plain_folder(tmp_path: Path) -> None:
    made_sets.plain(tmp_path)
    made_sets.photo(tmp_path / ".hidden" / "x.png")
    listing = open_listing(tmp_path)
    assert [record.key for record in listing.records] == [f"photo{k}.png" for k in range(6)]
    assert {record.class_name for record in listing.records} == {""}
    assert listing.held_out == frozenset()


def test_captioned_pictures_of_other_formats_are_named(tmp_path: Path) -> None:
    folder = made_sets.plain(tmp_path)
    (folder / "photo1.png").rename(folder / "photo1.heic")
    (folder / "photo2.json").write_text("{}")  # beside the photo and its captions
    (folder / "README.txt").write_text("of nothing")
    listing = open_listing(folder)
    assert len(listing.records) == 5
    assert listing.skipped == ("photo1.heic: has captions, but is no JPEG, PNG, WebP or BMP",)


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        made_sets.plain(tmp_path / name, 2)
    assert {r.class_name for r in open_listing(tmp_path).records} == {"cats", "dogs"}


def test_subfolders_train_and_test_are_the_split(tmp_path: Path) -> None:
    for name in ("train", "test"):
        made_sets.plain(tmp_path / name, 2)
    listing = open_listing(tmp_path)
    assert listing.held_out == {"test/photo0.png", "test/photo1.png"}
    assert {record.class_name for record in listing.records} == {""}


@pytest.mark.parametrize("name", ["split.json", "split.txt"])
def test_split_file_comes_first(tmp_path: Path, name: str) -> None:
    folder = made_sets.flowers(tmp_path / "set")
    names = ["class_00003", "image_00001.jpg"]
    made_sets.text(tmp_path / name, *([json.dumps(names)] if name.endswith("json") else names))
    assert open_listing(folder, tmp_path / name).held_out == set(names)


def test_split_file_of_other_names_is_refused(tmp_path: Path) -> None:
    folder = made_sets.flowers(tmp_path / "set")
    made_sets.text(tmp_path / "split.txt", "roses")
    with pytest.raises(DataError, match="'roses', which is neither a class nor a photo"):
        open_listing(folder, tmp_path / "split.txt")
    made_sets.text(tmp_path / "split.json", '{"other": 1}')
    with pytest.raises(DataError, match="holds out nothing"):
        open_listing(folder, tmp_path / "split.json")


def test_unknown_layout_names_all_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cub needs .*; flowers needs .*; coco needs .*; folder "):
        open_listing(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        open_listing(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "layout", "photos", "held_out"),
    [
        ("CUB_200_2011", "cub", 5902, 13),
        ("Oxford102", "flowers", 8189, 20),
        ("COCO", "coco", 159, 79),
    ],
)
def test_real_subsets(name: str, layout: str, photos: int, held_out: int) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the real subset {name} is not on this machine")
    listing = open_listing(SHARED / name)
    assert listing.layout == layout
    assert len(listing.records) == photos
    assert len(listing.held_out) == held_out
    assert all(record.captions for record in listing.records)
