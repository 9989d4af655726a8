"""Data sets as people have them: copied, renamed, edited by hand, made on other systems."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.captions import Vocabulary
from models.data.check import check, lines
from models.data.layouts.base import DataError, Record
from models.data.opening import open_photos
from models.data.prepare import prepare
from models.data.sources import open_listing
from tests.models.data import made_sets


def attngan(folder: Path) -> Path:
    """birds/: the official folder with AttnGAN's captions beside it."""
    made_sets.cub(folder / "CUB_200_2011")
    (folder / "CUB_200_2011" / "text").rename(folder / "text")
    return folder


@pytest.mark.parametrize("inner", ["", "CUB_200_2011"])
@pytest.mark.parametrize("name", ["text", "text_c10"])
def test_captions_beside_the_official_birds(tmp_path: Path, inner: str, name: str) -> None:
    birds = attngan(tmp_path / "birds")
    (birds / "text").rename(birds / name)
    listing = open_listing(birds / inner)
    assert [r.captions for r in listing.records] == [made_sets.CAPTIONS] * 8
    assert len(listing.held_out) == 4


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
)
def test_captions_in_any_unicode(tmp_path: Path, encoding: str) -> None:
    made_sets.plain(tmp_path)
    (tmp_path / "photo0.txt").write_bytes("a naïve bird\r\na red one\r\n".encode(encoding))
    assert open_listing(tmp_path).records[0].captions == ("a naïve bird", "a red one")


def test_captions_that_are_no_text_are_named(tmp_path: Path) -> None:
    made_sets.plain(tmp_path)
    (tmp_path / "photo3.txt").write_bytes("пти́ца здесь".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"photo3\.txt is no text that can be read; .*UTF-8"):
        open_listing(tmp_path)


def test_json_of_other_encodings(tmp_path: Path) -> None:
    folder = made_sets.flowers(tmp_path)
    (folder / "class_split.json").write_bytes('{"test_classes": [3]}'.encode("utf-16"))
    assert open_listing(folder).held_out == {"class_00003"}


@pytest.mark.parametrize(
    "name", [b"v\xf6gel", b"\xff\xfe bird", "пти́ца".encode("koi8-r", "ignore")]
)
def test_file_names_of_any_bytes_train(tmp_path: Path, name: bytes) -> None:
    folder = made_sets.plain(tmp_path / "set")
    for suffix in (".png", ".txt"):
        (folder / f"photo0{suffix}").rename(folder / (os.fsdecode(name) + suffix))
    key = name.decode("utf-8", "backslashreplace") + ".png"
    assert key in {record.key for record in open_listing(folder).records}
    "\n".join(lines(check(open_listing(folder)))).encode()
    data = open_photos(folder, size=16, cache=tmp_path / "cache")
    assert len(data) == 4
    data.fingerprint.encode()


def test_lists_name_files_of_any_bytes(tmp_path: Path) -> None:
    folder = made_sets.cub(tmp_path)
    images = folder / "images.txt"
    for kind, suffix in (("images", ".jpg"), ("text", ".txt")):
        place = folder / kind / "001.Bird_1"
        (place / f"Bird_1_0{suffix}").rename(place / (os.fsdecode(b"Bird_\xe9") + suffix))
    images.write_bytes(images.read_bytes().replace(b"Bird_1_0", b"Bird_\xe9"))
    first = open_listing(folder).records[0]
    assert first.key == "001.Bird_1/Bird_\\xe9.jpg"
    assert (first.path.is_file(), len(first.captions)) == (True, 2)
    assert first.key in open_listing(folder).held_out


def test_folder_with_a_name_of_any_bytes(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9t\xe9"))
    data = prepare(open_listing(made_sets.plain(folder)), tmp_path / "out")
    assert data.split["train"]
    assert open_listing(folder).name == "\\xe9t\\xe9"


def test_class_folders_that_are_links(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        made_sets.plain(tmp_path / "real" / name, 2)
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / name).symlink_to(tmp_path / "real" / name)
    listing = open_listing(tmp_path / "set")
    assert [r.key for r in listing.records] == [
        f"{name}/photo{k}.png" for name in ("cats", "dogs") for k in range(2)
    ]


def test_links_in_circles_and_twice_are_entered_once(tmp_path: Path) -> None:
    made_sets.plain(tmp_path / "a", 2)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(open_listing(tmp_path).records) == 2


def test_suffixes_in_upper_case(tmp_path: Path) -> None:
    flowers = made_sets.flowers(tmp_path / "flowers")
    birds = made_sets.cub(tmp_path / "birds")
    plain = made_sets.plain(tmp_path / "plain")
    for path in [*flowers.rglob("image_*"), *(birds / "images").rglob("*.jpg"),
                 *(birds / "text").rglob("*.txt"), *plain.glob("photo*")]:  # fmt: skip
        path.rename(path.with_suffix(path.suffix.upper()))
    for folder, count in ((flowers, 8), (birds, 8), (plain, 6)):
        found = check(open_listing(folder))
        assert (len(found.usable), found.faults, found.uncaptioned) == (count, {}, ())


@pytest.mark.parametrize("suffix", [".jpeg", ".PNG", ".webp"])
def test_flowers_of_other_kinds(tmp_path: Path, suffix: str) -> None:
    folder = made_sets.flowers(tmp_path)
    for path in (folder / "jpg").glob("*.jpg"):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(suffix))
        path.unlink()
    assert len(check(open_listing(folder)).usable) == 8


def test_resource_forks_are_no_photos(tmp_path: Path) -> None:
    flowers = made_sets.flowers(tmp_path / "flowers")
    plain = made_sets.plain(tmp_path / "plain")
    coco = made_sets.coco(tmp_path / "coco")
    forks = ["flowers/jpg/._image_00001.jpg", "flowers/text_c10/class_00001/._image_00001.txt",
             "plain/._photo0.png", "plain/._photo0.txt", "plain/__MACOSX/._photo0.png",
             "coco/annotations/._captions_train2017.json"]  # fmt: skip
    for name in forks:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x00\x05\x16\x07\x00")
    for folder, count in ((flowers, 8), (plain, 6), (coco, 6)):
        found = check(open_listing(folder))
        assert (len(found.usable), found.faults, found.uncaptioned) == (count, {}, ())


def test_lists_with_backslashes(tmp_path: Path) -> None:
    folder = made_sets.cub(tmp_path / "set")
    (folder / "train_test_split.txt").unlink()
    made_sets.text(tmp_path / "split.txt", "001.Bird_1\\Bird_1_0.jpg")
    images = folder / "images.txt"
    images.write_text(images.read_text().replace("/", "\\"))
    listing = open_listing(folder, tmp_path / "split.txt")
    assert len(check(listing).usable) == 8
    assert listing.held_out == {"001.Bird_1/Bird_1_0.jpg"}


def edited(folder: Path, kind: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """A COCO set one of whose files is changed."""
    path = folder / "annotations" / f"{kind}_train2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("place", ["images/train2017", "images"])
def test_coco_photos_below_images(tmp_path: Path, place: str) -> None:
    folder = made_sets.coco(tmp_path)
    (folder / "train2017").rename(tmp_path / "aside")
    (folder / place).parent.mkdir(exist_ok=True)
    (tmp_path / "aside").rename(folder / place)
    found = check(open_listing(folder))
    assert len(found.usable) == 6
    assert found.usable[0].key == "train2017/000000000001.jpg"


@pytest.mark.parametrize(
    "start", ["train2017/", "images\\train2017\\", "C:\\coco\\train2017\\", "/x/"]
)
def test_coco_file_names_with_folders(tmp_path: Path, start: str) -> None:
    def change(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["file_name"] = start + image["file_name"]

    found = check(open_listing(edited(made_sets.coco(tmp_path), "captions", change)))
    assert len(found.usable) == 6
    assert found.usable[0].key == "train2017/000000000001.jpg"


def test_coco_without_photos_names_the_folders(tmp_path: Path) -> None:
    folder = made_sets.coco(tmp_path)
    for split in ("train2017", "val2017"):
        (folder / split).rename(folder / f"my-{split}")
    with pytest.raises(DataError, match="images/train2017"):
        open_listing(folder)


def test_coco_of_unknown_splits_names_the_known(tmp_path: Path) -> None:
    folder = made_sets.coco(tmp_path)
    for path in (folder / "annotations").iterdir():
        path.rename(path.with_name(path.name.replace("2017", "-mine")))
    with pytest.raises(DataError, match=r"captions_train-mine\.json.*train2017"):
        open_listing(folder)


def test_captions_that_are_none_are_skipped_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(content: dict[str, Any]) -> None:
        notes = content["annotations"]
        notes[0]["caption"] = None
        notes[1].pop("caption")
        notes += [notes[2] | {"id": 77, "caption": 5}, {"id": 78, "caption": "of nothing"}, None]
        content["images"].append({"file_name": "x.jpg"})

    listing = open_listing(edited(made_sets.coco(tmp_path), "captions", change))
    assert [len(r.captions) for r in listing.records] == [0, 0, 1, 1, 1, 1]
    assert len(listing.skipped) == 6
    assert "6 skipped (" in capsys.readouterr().err
    said = "\n".join(lines(check(listing)))
    assert "annotation 77 of image 3 has no caption" in said
    assert "photos without a caption: 2" in said


@pytest.mark.parametrize("content", ["[]", '{"images": []}', '{"images": {}, "annotations": []}'])
def test_other_json_is_no_annotation_file(tmp_path: Path, content: str) -> None:
    folder = made_sets.coco(tmp_path)
    (folder / "annotations/captions_train2017.json").write_text(content)
    with pytest.raises(DataError, match="is not a COCO annotation file: it needs the lists"):
        open_listing(folder)


def mask_of(record: Record) -> np.ndarray | None:
    return record.object_mask() if record.object_mask else None


def test_labels_without_area_count_by_their_pixels(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for note in content["annotations"]:
            note.pop("area")
            if not note["iscrowd"]:
                note.pop("iscrowd")

    folder = edited(made_sets.coco(tmp_path), "instances", change)
    plane = mask_of(open_listing(folder).records[0])
    assert plane is not None
    assert plane[12, 12]
    assert not plane[:5, :5].any()
    found = check(open_listing(folder))
    assert found.masked == 4
    assert "object masks: 4 photos" in lines(found)[-1]


RUNS = {"size": [30, 40], "counts": [30, 60, 1110]}


@pytest.mark.parametrize(
    ("segmentation", "columns"),
    [
        ([], 0),
        (None, 0),
        ([[1, 2, 3, 4]], 0),
        ([[float("nan"), 0, 5, 5, 9, 9]], 0),
        ({"size": [30, 40], "counts": [30, 60]}, 0),
        ({"size": [30, 40], "counts": "54"}, 0),
        ({"size": [30, 40]}, 0),
        (RUNS, 2),
        ({"size": [30, 40], "counts": "n0l1fR1"}, 2),
        ([[1, -1e12, 3, -1e12, 3, 1e12, 1, 1e12]], 2),
    ],
)
def test_outlines_of_every_kind(tmp_path: Path, segmentation: object, columns: int) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"] = [{"id": 1, "image_id": 1, "segmentation": segmentation}]

    folder = edited(made_sets.coco(tmp_path), "instances", change)
    plane = mask_of(open_listing(folder).records[0])
    if not columns:
        assert plane is None
        return
    assert plane is not None
    assert plane.shape == (30, 40)
    assert plane[:, 1:3].all()
    assert plane.sum() == 30 * columns


def test_boxes_alone_are_prepared_and_trained_on(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = []
        content["annotations"][1].pop("segmentation")
        content["images"] = content["images"][1:]

    folder = edited(made_sets.coco(tmp_path / "set"), "instances", change)
    done = prepare(open_listing(folder), tmp_path / "out")
    data = open_photos(folder, size=16, cache=tmp_path / "cache")
    rng = [np.random.default_rng(k) for k in range(len(data))]
    batch = data.batch("inpainting", range(len(data)), rng)
    assert batch.known_mask is not None
    assert Vocabulary(done.words).words == data.vocabulary.words


def test_sizes_that_the_file_lacks_are_the_photos(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image.pop("width")

    folder = edited(made_sets.coco(tmp_path), "instances", change)
    plane = mask_of(open_listing(folder).records[0])
    assert plane is not None
    assert plane.shape == (30, 40)


def test_too_few_words_name_the_way_out(tmp_path: Path) -> None:
    for k, caption in enumerate(("red bird", "blue owl", "green duck")):
        made_sets.photo(tmp_path / f"{k}.png", seed=k)
        made_sets.text(tmp_path / f"{k}.txt", caption)
    with pytest.raises(DataError, match=r"data prepare DIR --least 1 --out FOLDER.*--prepared"):
        open_photos(tmp_path, size=16, cache=tmp_path.parent / "cache")
