"""Bundles: what is saved comes back, and what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.bundle import Bundle, load_strict, save_task
from models.errors import BundleError, UnknownBundle

WORDS = ["<end>", "red", "bird"]


def a_spec(**changes: Any) -> dict[str, Any]:
    return {
        "method": "efficient-t2i",
        "size": 16,
        "max_words": 18,
        "tokenizer": "regexp",
        "network": {"size": 16},
        "text_encoder": {"vocabulary": 3},
        "image_encoder": None,
    } | changes


def a_module(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def test_saved_weights_come_back_exactly(tmp_path: Path) -> None:
    module = a_module()
    saved = save_task(
        tmp_path / "b", "synthesize", a_spec(), {"generator": module.state_dict()}, words=WORDS
    )
    assert saved.name == "b"
    bundle = Bundle.open(tmp_path / "b")
    other = a_module(1)
    load_strict(other, bundle.state("synthesize", "generator"), "generator")
    for key, value in module.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    assert json.loads(bundle.vocabulary_path("synthesize").read_text())["words"] == WORDS


def test_half_storage_is_smaller_and_close_and_keeps_vectors(tmp_path: Path) -> None:
    state = {"w": torch.randn(64, 64), "b": torch.randn(64), "huge": torch.full((2, 2), 1e6)}
    full = save_task(tmp_path / "f", "synthesize", a_spec(), {"g": state}, words=WORDS)
    half = save_task(tmp_path / "h", "synthesize", a_spec(), {"g": state}, words=WORDS, half=True)
    back = half.state("synthesize", "g")
    assert back["w"].dtype == torch.float32
    assert torch.allclose(back["w"], state["w"], atol=2e-3)
    assert torch.equal(back["b"], state["b"])
    assert torch.equal(back["huge"], state["huge"])
    sizes = [next(b.folder.glob("*.safetensors")).stat().st_size for b in (full, half)]
    assert sizes[1] < 0.6 * sizes[0]


def test_tasks_share_equal_files_and_replaced_files_go(tmp_path: Path) -> None:
    text, first, second = a_module(0).state_dict(), a_module(1).state_dict(), a_module(2)
    save_task(tmp_path, "synthesize", a_spec(), {"text": text, "g": first}, words=WORDS)
    save_task(tmp_path, "inpaint", a_spec(), {"text": text, "g": first}, words=WORDS)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    before = Bundle.open(tmp_path).sha256
    save_task(tmp_path, "inpaint", a_spec(), {"text": text, "g": second.state_dict()}, words=WORDS)
    bundle = Bundle.open(tmp_path)
    assert sorted(bundle.tasks) == ["inpaint", "synthesize"]
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert bundle.sha256 != before
    save_task(tmp_path, "synthesize", a_spec(), {"text": text}, words=WORDS)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_another_vocabulary_gets_another_file(tmp_path: Path) -> None:
    state = {"g": {"w": torch.zeros(2)}}
    save_task(tmp_path, "synthesize", a_spec(), state, words=WORDS)
    bundle = save_task(tmp_path, "inpaint", a_spec(), state, words=[*WORDS, "blue"])
    paths = {bundle.vocabulary_path(task) for task in bundle.tasks}
    assert len(paths) == 2


def test_load_strict_names_everything_that_differs() -> None:
    state = a_module().state_dict()
    state["extra.weight"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    del state["2.bias"]
    with pytest.raises(BundleError) as caught:
        load_strict(a_module(), state, "generator")
    text = str(caught.value)
    assert "missing: 2.bias" in text
    assert "unexpected: extra.weight" in text
    assert "0.weight (file [4, 3, 5, 5], network [4, 3, 3, 3])" in text


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    bundle = save_task(
        tmp_path, "synthesize", a_spec(), {"g": a_module().state_dict()}, words=WORDS
    )
    path = next(tmp_path.glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="damaged"):
        bundle.state("synthesize", "g")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(BundleError, match="git lfs pull"):
        bundle.state("synthesize", "g")
    path.unlink()
    with pytest.raises(BundleError, match="cannot read"):
        bundle.state("synthesize", "g")
    with pytest.raises(BundleError, match="lists no 'x' file"):
        bundle.state("synthesize", "x")
    with pytest.raises(UnknownBundle, match="does not offer 'inpaint'"):
        bundle.task("inpaint")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"format": "1"}, "'format' must be int"),
        ({"tasks": []}, "'tasks' must be dict"),
        ({"tasks": {"synthesize": a_spec(size="64")}}, "'size' must be int"),
    ],
)
def test_faulty_manifests_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    raw = {"format": 1, "name": "b", "tasks": {}} | change
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match=message):
        Bundle.open(tmp_path)


def test_a_folder_without_a_bundle_and_a_path_outside(tmp_path: Path) -> None:
    with pytest.raises(UnknownBundle, match="no bundle"):
        Bundle.open(tmp_path)
    entry = a_spec(vocabulary="v.json", files={"g": {"path": "../x", "sha256": "0"}})
    raw = {"format": 1, "name": "b", "tasks": {"synthesize": entry}}
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match="lie in the bundle"):
        Bundle.open(tmp_path).state("synthesize", "g")


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    state = {"a": {"w": torch.ones(2)}, "g": {"w": torch.tensor([float("nan")])}}
    with pytest.raises(BundleError, match="not finite"):
        save_task(tmp_path / "new", "synthesize", a_spec(), state, words=WORDS)
    assert not (tmp_path / "new").exists()
