"""Sheets of pictures that people rate, and what a bundle learns of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.bundle import Bundle
from models.commands.sheets import add_ratings, add_sheets, run_ratings, run_sheets
from models.damsm.rating_head import ROLE
from models.errors import ModelsError
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from models.training.ratings import learn_ratings, read_ratings
from tests.models.data.made_sets import cub, plain
from tests.models.tiny import SIZE, tiny_bundle

ROW = "0 1 2 3 4 5 6 9\n"


def run(
    add: Callable[[argparse.ArgumentParser], None],
    command: Callable[[argparse.Namespace], None],
    *words: str,
) -> None:
    parser = argparse.ArgumentParser()
    add(parser)
    command(parser.parse_args(list(words)))


def sheet(folder: Path, name: str = "a", rows: str = ROW * 8, size: int = 128) -> Path:
    """A sheet whose pictures are the brighter, the higher their rating is."""
    folder.mkdir(exist_ok=True)
    rated = np.tile(np.array([0, 1, 2, 3, 4, 5, 6, 9]) * 28, (8, 1)).astype(np.uint8)
    Image.fromarray(rated).resize((size, size), Image.Resampling.NEAREST).convert("RGB").save(
        folder / f"{name}.webp", lossless=True
    )
    (folder / f"{name}.txt").write_text(rows)
    return folder


def test_sheets_are_drawn_rated_and_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, photos = tiny_bundle(tmp_path / "b", damsm=True).folder, cub(tmp_path / "p", each=5)
    before, sheets = Bundle.open(folder), tmp_path / "sheets"
    words = [str(folder), "--data", str(photos), "--out", str(sheets), "--sheets", "2"]
    run(add_sheets, run_sheets, *words, "--device", "cpu")
    drawn = sorted(sheets.iterdir())
    assert [p.name for p in drawn] == ["000.webp", "001.webp"]
    assert drawn[0].read_bytes() != drawn[1].read_bytes()
    for path in drawn:
        with Image.open(path) as opened:
            assert opened.size == (8 * SIZE, 8 * SIZE)
        path.with_suffix(".txt").write_text(ROW * 8)
    run(add_ratings, run_ratings, str(folder), str(sheets), "--device", "cpu")
    after = Bundle.open(folder)
    assert set(after.task("damsm").files) == {*before.task("damsm").files, ROLE}
    assert after.task("synthesize").files == before.task("synthesize").files
    pipeline = load(folder, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    assert pipeline.encoders is not None
    assert pipeline.encoders.rating is not None
    assert -1 <= float(capsys.readouterr().out.rpartition(" ")[2]) <= 1


def test_captions_that_a_bundle_cannot_read_leave_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = plain(tmp_path / "p", 20)
    for path in photos.glob("*.txt"):
        path.write_text("zwei Schuhe")
    words = [str(tiny_bundle(tmp_path / "b").folder), "--data", str(photos)]
    with pytest.raises(ModelsError, match="knows no word"):
        run(add_sheets, run_sheets, *words, "--out", str(tmp_path / "sheets"), "--device", "cpu")
    assert not (tmp_path / "sheets").exists()


def test_pictures_that_were_not_rated_are_rated_alike(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle", damsm=True).folder
    rated = sheet(tmp_path / "rated")
    assert learn_ratings(folder, rated, 0.3, "cpu") > 0.5
    pipeline = load(folder, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    assert pipeline.encoders is not None
    pictures, _ = read_ratings(rated)
    with torch.inference_mode():
        low, high = pipeline.encoders.agreement(pictures[[0, 7]], (("a red bird", 1.0),))
    assert high > low


def test_a_sheet_is_cut_row_by_row(tmp_path: Path) -> None:
    pictures, ratings = read_ratings(sheet(tmp_path / "rated"))
    assert pictures.shape == (64, 3, 16, 16)
    assert (ratings * 9).round().tolist() == [0, 1, 2, 3, 4, 5, 6, 9] * 8
    brightness = pictures.mean((1, 2, 3))
    assert torch.allclose(brightness[:8], brightness[56:])
    assert (brightness[:8].diff() > 0).all()


@pytest.mark.parametrize(
    "rows", ["", ROW * 7, ROW * 9, ROW * 7 + "0 1 2 3 4 5 6\n", ROW * 7 + ROW.replace("9", "10")]
)
def test_what_is_not_rated_in_full_is_refused(tmp_path: Path, rows: str) -> None:
    rated = sheet(sheet(tmp_path / "rated"), "b", rows)
    with pytest.raises(ModelsError, match=r"b\.txt needs 8 lines of 8 ratings from 0 to 9"):
        read_ratings(rated)


def test_sheets_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="no sheets"):
        read_ratings(tmp_path)
    with pytest.raises(ModelsError, match="not 8 rows of 8"):
        read_ratings(sheet(tmp_path / "rated", size=100))


def test_sheets_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="nothing to learn"):
        read_ratings(sheet(tmp_path / "same", rows="5 5 5 5 5 5 5 5\n" * 8))
    with pytest.raises(ModelsError, match="several sizes"):
        read_ratings(sheet(sheet(tmp_path / "sizes"), "b", size=256))


def test_a_bundle_without_encoders_is_refused(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle").folder
    with pytest.raises(ModelsError, match="image encoder"):
        learn_ratings(folder, sheet(tmp_path / "rated"), 0.3, "cpu")
