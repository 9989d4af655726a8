"""Word vectors of the files in which others keep them; anything else is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from models.checkpoints.word_vectors import read_vectors, read_vocabulary
from models.errors import BundleError

WORDS = ["<end>", "red", "bird", "zorgly"]
VECTORS = {"the": [1, 2, 3], "bird": [0.25, -1, 1e-3], "red": [4, 5, 6.5]}


def text(path: Path, *, header: bool = True, end: str = "") -> Path:
    lines = [f"{word} {' '.join(map(str, v))}{end}" for word, v in VECTORS.items()]
    path.write_text("\n".join([f"{len(lines)} 3"] * header + lines) + "\n", encoding="utf-8")
    return path


def npz(path: Path) -> Path:
    np.savez(path, words=np.array(list(VECTORS)), vectors=np.array(list(VECTORS.values())))
    return path


def tensors(path: Path) -> Path:
    safetensors.torch.save_file({"vectors": torch.tensor(list(VECTORS.values()))}, path)
    path.with_suffix(".txt").write_text("\n".join(VECTORS))
    return path


@pytest.mark.parametrize(
    "kind", ["fasttext.vec", "glove.txt", "printed.vec", "words.npz", "w.safetensors"]
)
def test_every_kind_gives_the_same(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if path.suffix in (".vec", ".txt"):
        text(path, header=kind == "fasttext.vec", end=" " if kind == "printed.vec" else "")
    else:
        {".npz": npz, ".safetensors": tensors}[path.suffix](path)
    kept, table = read_vectors(path, WORDS, 3)
    assert kept == ["<end>", "red", "bird"]
    expected = torch.tensor([[0, 0, 0], VECTORS["red"], VECTORS["bird"]])
    assert torch.equal(table.weight, expected)


def test_words_with_blanks_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\nred . . 7 8 9\nred bird 1 2\nred 4 5 6\n")
    assert read_vectors(path, WORDS, 3)[1].weight[1].tolist() == [4, 5, 6]


def test_a_binary_model_is_refused_with_the_command(tmp_path: Path) -> None:
    for name, head in (("wiki.en.bin", b"\xba\x16\x4f\x2f\x0c\0\0\0"), ("w2v.bin", b"3 3\nred \0")):
        (tmp_path / name).write_bytes(head + bytes(range(64)))
        with pytest.raises(BundleError, match=r"fasttext print-word-vectors .* > words\.vec"):
            read_vectors(tmp_path / name, WORDS, 3)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = text(tmp_path / "w.vec")
    with pytest.raises(BundleError, match="vectors of 3 numbers; these networks read 300"):
        read_vectors(path, WORDS, 300)
    with pytest.raises(BundleError, match="for none of the 1 words"):
        read_vectors(path, ["<end>", "zorgly"], 3)
    path.write_text("2 3\nred 1 2\n")
    with pytest.raises(BundleError, match="damaged in line 1: 'red' should have 3 numbers"):
        read_vectors(path, WORDS, 3)
    path.write_text("red 1 nan 3\n")
    with pytest.raises(BundleError, match="not finite"):
        read_vectors(path, WORDS, 3)
    path.write_text("<!DOCTYPE html>\n<html>\nred flag\n")
    with pytest.raises(BundleError, match="is a web page"):
        read_vectors(path, WORDS, 3)
    np.savez(tmp_path / "few.npz", words=np.array(["red"]), vectors=np.zeros((2, 3)))
    with pytest.raises(BundleError, match="1 words and vectors"):
        read_vectors(tmp_path / "few.npz", WORDS, 3)
    np.savez(tmp_path / "other.npz", table=np.zeros((2, 3)))
    with pytest.raises(BundleError, match="must hold the arrays"):
        read_vectors(tmp_path / "other.npz", WORDS, 3)
    with pytest.raises(BundleError, match="can't be read"):
        read_vectors(tmp_path / "none.vec", WORDS, 3)


def test_a_vocabulary_is_a_text_or_a_captions_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("Red\n\nbird\nred\n")
    assert read_vocabulary(path) == ["<end>", "red", "bird"]
    with pytest.raises(BundleError, match="There is no file"):
        read_vocabulary(tmp_path / "captions.pickle")
