from pathlib import Path

import pytest

from models.__main__ import command_line
from models.data.check import check, lengths, lines
from models.data.layouts.base import DataError
from models.data.sources import open_listing
from tests.models.data import made_sets
from tests.models.tiny import tiny_bundle


def run(*arguments: str | Path) -> None:
    given = command_line().parse_args(["data", *(str(argument) for argument in arguments)])
    given.run(given)


def test_lengths_in_words() -> None:
    found = lengths([*["two words"] * 98, "one", "a caption of six words here"])
    assert found is not None
    assert (found.least, found.median, found.p95, found.most) == (1, 2, 2, 6)
    assert lengths([]) is None


def test_broken_missing_and_mute_photos_are_found(tmp_path: Path) -> None:
    folder = made_sets.cub(tmp_path, each=3)
    (folder / "images/001.Bird_1/Bird_1_0.jpg").write_bytes(b"no photo")
    (folder / "images/001.Bird_1/Bird_1_1.jpg").unlink()
    (folder / "text/002.Bird_2/Bird_2_0.txt").unlink()
    found = check(open_listing(folder))
    assert found.faults["001.Bird_1/Bird_1_1.jpg"] == "missing"
    assert "001.Bird_1/Bird_1_0.jpg" in found.faults
    assert found.uncaptioned == ("002.Bird_2/Bird_2_0.jpg",)
    assert len(found.usable) == 9
    found.require_usable()
    assert "photos without a caption: 1" in lines(found)


def test_truncated_jpeg_is_broken(tmp_path: Path) -> None:
    folder = made_sets.flowers(tmp_path)
    path = folder / "jpg" / "image_00001.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    assert "truncated" in check(open_listing(folder)).faults["image_00001.jpg"]


def test_one_photo_is_too_few(tmp_path: Path) -> None:
    found = check(open_listing(made_sets.plain(tmp_path, 1)))
    with pytest.raises(DataError, match="at least 2 are needed beside those held out"):
        found.require_usable()


def test_words_that_training_would_not_find_are_refused(tmp_path: Path) -> None:
    folder = made_sets.plain(tmp_path)
    for k in range(6):
        made_sets.text(folder / f"photo{k}.txt", f"word{k}")
    with pytest.raises(DataError, match="No word occurs 2 times"):
        check(open_listing(folder)).require_usable()


def test_captions_in_another_encoding_are_named(tmp_path: Path) -> None:
    folder = made_sets.plain(tmp_path)
    (folder / "photo1.txt").write_bytes("a red bird on a caf\xe9".encode("latin-1"))
    said = lines(check(open_listing(folder)))
    named = said.index("photos with captions that are not UTF-8: 1")
    assert said[named + 1] == "  photo1.png"


def test_command_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made_sets.flowers(tmp_path / "set")
    tiny_bundle(tmp_path / "tiny")
    run("check", folder, "--bundle", tmp_path / "tiny")
    said = capsys.readouterr().out
    assert "test: 2 photos in 1 classes (2 to 2 each)" in said
    assert "2 words, 24 occurrences; most frequent: pink 16, flower 8" in said
    assert "usable: yes" in said


def test_command_check_says_why_not(tmp_path: Path) -> None:
    folder = made_sets.plain(tmp_path / "set", 1)
    with pytest.raises(DataError, match="cannot be trained on"):
        run("check", folder)


def test_command_prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made_sets.coco(tmp_path / "set")
    run("prepare", folder, "--out", tmp_path / "out", "--masks")
    assert "train 2, validation 1, test 3 photos; 0 left out" in capsys.readouterr().out


def test_aviary_needs_no_preparation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("check", "aviary")
    assert "endless" in capsys.readouterr().out
    with pytest.raises(DataError, match="nothing to prepare"):
        run("prepare", "aviary", "--out", tmp_path)
