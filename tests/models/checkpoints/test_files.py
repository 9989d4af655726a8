"""Files that people give to an import: whole checkpoints, damaged downloads, other kinds."""

import argparse
import gzip
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from models.checkpoints.captions import read_words
from models.checkpoints.files import read
from models.errors import BundleError
from models.files import what_it_is

STATE: dict[str, Tensor] = {"a.weight": torch.arange(4.0), "a.bias": torch.ones(2)}


def same(found: dict[str, Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[k], v) for k, v in STATE.items())


@pytest.mark.parametrize(
    "around",
    [
        lambda s: {"net": s, "it": np.int64(5), "loss": np.float32(0.5)},
        lambda s: {"net": s, "losses": np.ones(3), "options": argparse.Namespace(lr=1e-3)},
        lambda s: {"net": s, "where": Path("runs")},
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"netG": s, "optG": {"lr": 1}},
        lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
        lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
    ],
)
def test_tensors_in_whatever_lies_around_them(
    tmp_path: Path, around: Callable[[dict[str, Tensor]], object]
) -> None:
    torch.save(around(STATE), tmp_path / "x.pth")
    assert same(read(tmp_path / "x.pth", "net"))


def test_safetensors_are_read(tmp_path: Path) -> None:
    safetensors.torch.save_file(STATE, tmp_path / "x.pth")
    assert same(read(tmp_path / "x.pth"))


@pytest.mark.parametrize("made", [nn.Linear(2, 2), {"net": nn.LSTM(2, 2)}, nn.ReLU])
def test_pickled_networks_are_refused_with_what_to_do(tmp_path: Path, made: object) -> None:
    torch.save(made, tmp_path / "x.pth")
    with pytest.raises(BundleError, match=r"torch\.save\(network\.state_dict\(\)") as refused:
        read(tmp_path / "x.pth")
    assert "two options" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_several_state_dicts_are_named(tmp_path: Path) -> None:
    torch.save({"netG": STATE, "netD": STATE}, tmp_path / "x.pth")
    with pytest.raises(BundleError, match=r"holds no state dict .* but netG, netD"):
        read(tmp_path / "x.pth")


def cut(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-700])


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net.pth", b"x")


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "page": (lambda p: p.write_text("\n<!DOCTYPE html><html>Quota"), "web page"),
    "page with a mark": (lambda p: p.write_text("\ufeff<HTML>"), "web page"),
    "pointer": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid"), "LFS"),
    "answer": (lambda p: p.write_text('{"error": "not found"}'), "JSON"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "picture": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "is a picture"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(b"x" * 100)), "gzip archive"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_other_files_are_told_by_what_they_are(tmp_path: Path, kind: str) -> None:
    make, told = WRONG[kind]
    make(tmp_path / "x")
    for reader in (read, read_words):
        with pytest.raises(BundleError, match=told):
            reader(tmp_path / "x")


@pytest.mark.parametrize("data", [b"BM\x00\x01", bytes(1000), b"hello"])
def test_files_of_no_known_kind_bring_no_advice_to_trust_them(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(BundleError, match="is not a readable checkpoint of tensors") as caught:
        read(tmp_path / "x")
    assert "trusted" not in str(caught.value)
    assert "weights_only` set to" not in str(caught.value)


def test_cut_and_zipped_checkpoints(tmp_path: Path) -> None:
    cut(tmp_path / "cut.pth")
    with pytest.raises(BundleError, match="is cut off"):
        read(tmp_path / "cut.pth")
    zipped(tmp_path / "zip.pth")
    with pytest.raises(BundleError, match="zip archive; unpack it"):
        read(tmp_path / "zip.pth")
    torch.save(STATE, tmp_path / "whole.pth")
    assert what_it_is(tmp_path / "whole.pth") == ""


def test_words_saved_as_bytes(tmp_path: Path) -> None:
    index = {0: b"<end>", 1: b"bird", 2: "r\u00e9d".encode()}
    (tmp_path / "c").write_bytes(pickle.dumps(([], [], index, {}), protocol=4))
    assert read_words(tmp_path / "c") == ["<end>", "bird", "réd"]


@pytest.mark.parametrize("word", [5, None, ("a",)])
def test_words_that_are_no_texts_are_refused(tmp_path: Path, word: object) -> None:
    (tmp_path / "c").write_bytes(pickle.dumps(([], [], {0: "<end>", 1: word}, {})))
    with pytest.raises(BundleError, match="is no text"):
        read_words(tmp_path / "c")
