"""What evaluations keep, when a full disk or a bad copy has cut it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.data.aviary.dataset import Aviary
from models.evaluation.evaluator_files import EvaluatorError, manifest
from models.evaluation.features import Features, cached_features
from models.evaluation.inception import InceptionFileError, load_inception


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = (emptied, halved, Path.unlink)


class Counting:
    """Mean colours, and how often they were asked for."""

    name, sha256, side, asked = "mean", "0", 8, 0

    def features(self, images: Tensor, batch: int = 32) -> Features:
        self.asked += 1
        return Features(images.mean((2, 3)), images.mean((2, 3)))


@pytest.mark.parametrize("damage", DAMAGES)
def test_features_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network, pictures = Counting(), [Image.new("RGB", (8, 8), "red")] * 3
    first = cached_features(network, pictures, "reds")
    assert torch.equal(cached_features(network, pictures, "reds").pooled, first.pooled)
    assert network.asked == 1
    damage(next(tmp_path.rglob("*.safetensors")))
    assert torch.equal(cached_features(network, pictures, "reds").pooled, first.pooled)
    assert network.asked == 2


def test_features_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cached_features(Counting(), [Image.new("RGB", (8, 8))], "x").pooled.shape == (1, 3)


@pytest.mark.parametrize("damage", DAMAGES)
def test_drawings_are_drawn_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    before = Aviary(16, 4, cache=tmp_path)
    kept = np.array(before.part_masks(np.arange(4)))
    del before
    damage(next(tmp_path.glob("*-weights.npy")))
    assert (Aviary(16, 4, cache=tmp_path).part_masks(np.arange(4)) == kept).all()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"form": 5}', '{"form": {"aviary": {"file": "x"}}}']
)
def test_lists_of_judges(tmp_path: Path, content: str) -> None:
    (tmp_path / "judges.json").write_text(content)
    with pytest.raises(EvaluatorError, match=r"judges\.json"):
        manifest(tmp_path)


@pytest.mark.parametrize("content", [b"<html>", b"", b"version https://git-lfs.github.com/spec/v1"])
def test_inceptions(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "inception.pth"
    path.write_bytes(content)
    with pytest.raises(InceptionFileError, match=r"inception\.pth is (a|empty)"):
        load_inception(path)
    torch.save({"other": torch.ones(2)}, path)
    with pytest.raises(InceptionFileError, match=r"no 'fc\.weight'"):
        load_inception(path)
