"""The judging encoders, and the law that judges never teach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.data.aviary.drawing import bird, render
from models.evaluation.encoders import load_encoders
from models.evaluation.encoders_training import EncoderOptions, train_encoders
from models.evaluation.evaluator_files import EvaluatorMissing, entry
from models.evaluation.held_out_aviary import HeldOutAviary
from models.evaluation.panel import load_panel
from models.evaluation.pictures import stack

MODELS = Path(__file__).parents[3] / "models"


def test_encoders_are_trained_saved_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = EncoderOptions(steps=2, batch=4, count=8, checked=12, size=32)
    path = train_encoders("aviary", options, tmp_path / "judges")
    evaluator = load_encoders("aviary", tmp_path / "judges")
    codes = evaluator.codes(stack([render(bird("test", k), 32) for k in range(3)]))
    texts = evaluator.sentences(["a red bird with a blue crown", "xyzzy", "the tail is green"])
    assert torch.allclose(codes.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(texts.norm(dim=1), torch.ones(3), atol=1e-5)
    found = entry(tmp_path / "judges", "encoders", "aviary")
    assert found is not None
    assert evaluator.described["sha256"] == found["sha256"]
    assert path.name == found["file"]
    assert path.stat().st_size < 4_000_000  # the frozen trunk is not stored again


def test_missing_encoders_become_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EvaluatorMissing, match="judge encoders --data DIR"):
        load_encoders("nowhere", tmp_path)
    data = HeldOutAviary("validation", name="nowhere")
    panel = load_panel(data, tmp_path, None, features=False)
    assert len(panel.notes) == 1
    assert panel.similarity([], []) is None


def test_no_training_code_knows_a_judge() -> None:
    taught = [
        *(MODELS / "training").glob("*.py"),
        *MODELS.glob("*/objective.py"),
        *MODELS.glob("*/losses.py"),
        *MODELS.glob("*/discriminators.py"),
        *MODELS.glob("*/projected.py"),
    ]
    assert len(taught) > 8
    for path in taught:
        assert not [m for m in _imports(path) if m.startswith("models.evaluation")], path
        assert "Lite2" not in path.read_text(encoding="utf-8"), path


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
