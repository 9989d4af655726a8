"""The one door to every data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.captions import END, Vocabulary
from models.data.aviary.captions import vocabulary
from models.data.aviary.dataset import Aviary
from models.data.layouts.base import DataError
from models.data.opening import open_data, open_photos, open_pictures
from models.data.photos import Photos
from models.data.pictures import WholePhotos
from models.data.prepare import prepare
from models.data.sources import open_listing
from tests.models.data.photo_sets import picture, sources


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photos, each with a text file beside it."""
    folder = tmp_path / "set"
    folder.mkdir()
    for k in range(12):
        picture(folder / f"{k:02}.jpg", seed=k)
        (folder / f"{k:02}.txt").write_text("a red bird\na small bird\n")
    return folder


def test_aviary_is_opened_by_its_name() -> None:
    data = open_data("aviary", size=16, limit=3, captions=2, vocabulary=vocabulary())
    assert isinstance(data, Aviary)
    assert (len(data), data.size, data.captions) == (3, 16, 2)


def test_aviary_refuses_encoders_of_other_words() -> None:
    with pytest.raises(DataError, match="choose encoders trained on Aviary"):
        open_data("aviary", size=16, limit=1, vocabulary=Vocabulary((END, "word")))


def test_a_folder_is_opened_without_writing_into_it(folder: Path, own_cache: Path) -> None:
    before = sorted(folder.iterdir())
    data = open_data(folder, size=16)
    assert isinstance(data, Photos)
    assert data.batch("damsm", [0], sources(1)).images.shape == (1, 3, 16, 16)
    assert sorted(folder.iterdir()) == before
    assert list((own_cache / "mmml").glob("photos-*.npy"))
    assert open_data(folder, size=16).fingerprint == data.fingerprint


def test_the_splits_of_a_folder_are_disjoint(folder: Path) -> None:
    train, test = (open_photos(folder, size=16, split=s) for s in ("train", "test"))
    assert not set(train.keys) & set(test.keys)
    assert (train.augment, test.augment) == (True, False)


def test_photos_left_out_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "03.jpg").write_bytes(b"")
    (folder / "05.txt").unlink()
    open_data(folder, size=16)
    assert "set: 2 photos left out" in (said := capsys.readouterr().err)
    assert "data check names them), 03.jpg for one" in said


def test_a_given_vocabulary_replaces_the_folders_own(folder: Path) -> None:
    data = open_data(folder, size=16, vocabulary=Vocabulary((END, "bird")))
    assert data.batch("damsm", [0], sources(1)).ids.tolist() == [[1]]


def test_a_prepared_folder_is_used(folder: Path, tmp_path: Path, own_cache: Path) -> None:
    prepared = prepare(open_listing(folder), tmp_path / "prepared", least=1, validation=0)
    data = open_photos(folder, size=16, prepared=tmp_path / "prepared")
    assert data.keys == prepared.split["train"]
    assert not list((own_cache / "mmml").glob("prepared-*"))


def test_photos_missing_from_a_prepared_folder_are_explained(folder: Path, tmp_path: Path) -> None:
    prepare(open_listing(folder), tmp_path / "prepared")
    for path in folder.glob("0*"):
        path.unlink()
    with pytest.raises(DataError, match="prepare the data anew"):
        open_photos(folder, size=16, prepared=tmp_path / "prepared")


def test_the_cache_is_never_inside_the_data(folder: Path) -> None:
    with pytest.raises(DataError, match="nothing is ever written"):
        open_photos(folder, size=16, cache=folder / "cache")


def test_pictures_alone_are_whole_photos_decoded_anew(folder: Path, own_cache: Path) -> None:
    data = open_pictures(folder, size=48)
    batch = data.batch("detail", [0, 1], sources(2))
    assert batch.images.shape == (2, 3, 48, 48)
    assert batch.images.min() < 0 < batch.images.max()
    assert not batch.lengths.any()
    assert not list((own_cache / "mmml").glob("photos-*"))
    held_out = open_pictures(folder, size=48, split="test")
    assert isinstance(data, WholePhotos)
    assert isinstance(held_out, WholePhotos)
    assert not {r.key for r in data.records} & {r.key for r in held_out.records}
    # The middle square of a photo of four quarters shows all four.
    corners = np.asarray(data.photo(0))[[2, 2, -3, -3], [2, -3, 2, -3]]
    assert len(np.unique(corners, axis=0)) == 4


def test_drawn_pictures_alone_are_aviarys() -> None:
    assert isinstance(open_pictures("aviary", size=16, limit=2), Aviary)
