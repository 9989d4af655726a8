"""The shipped attribute reader, and how it is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.aviary.drawing import COLOUR_NAMES, PARTS, bird, render
from models.evaluation import attributes
from models.evaluation.evaluator_files import (
    EVALUATORS,
    MANIFEST,
    EvaluatorError,
    EvaluatorMissing,
    evaluator_folders,
    save_network,
)
from models.evaluation.pictures import stack
from tests.models.evaluation.drawings import degrade


def test_shipped_reader_reads_held_out_renders() -> None:
    birds = [bird("test", k) for k in range(200)]
    read = attributes.load_reader().read(stack([render(b, 64) for b in birds])).numpy()
    assert (read == attributes.colour_indices(birds)).mean(0).min() >= 0.97


def test_reader_takes_other_sizes_and_disturbances() -> None:
    birds = [bird("test", 5000 + k) for k in range(60)]
    truth, reader = attributes.colour_indices(birds), attributes.load_reader()
    large = reader.read(stack([render(b, 128) for b in birds])).numpy()
    rough = degrade(stack([render(b, 64) for b in birds]), np.random.default_rng(0))
    assert (large == truth).mean() >= 0.97
    assert (reader.read(rough).numpy() == truth).mean() >= 0.9


def test_reader_says_what_a_recoloured_bird_changed() -> None:
    before = bird("test", 7)
    after = before.recolour({"belly": "purple" if before.colour_of("belly") != "purple" else "red"})
    read = attributes.load_reader().read(stack([render(before, 64), render(after, 64)]))
    assert read.dtype == torch.int64
    changed = [PARTS[k] for k in range(6) if read[0, k] != read[1, k]]
    assert changed == ["belly"]
    assert COLOUR_NAMES[int(read[1, PARTS.index("belly")])] == after.colour_of("belly")


def test_reader_is_small() -> None:
    count = sum(p.numel() for p in attributes.AttributeNet().parameters())
    assert count <= 300_000
    assert sum(p.stat().st_size for p in EVALUATORS.glob("*attributes*")) < 1_500_000


def test_missing_reader_is_to_be_restored(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorMissing, match="judge of attributes; restore"):
        attributes.load_reader([tmp_path])


def test_shipped_reader_stands_in_where_a_folder_has_none(tmp_path: Path) -> None:
    assert (
        attributes.load_reader(evaluator_folders(tmp_path)).sha256
        == attributes.load_reader().sha256
    )


def test_damaged_reader_is_refused(tmp_path: Path) -> None:
    for path in EVALUATORS.glob("*"):
        shutil.copy(path, tmp_path)
    assert (tmp_path / MANIFEST).exists()
    next(tmp_path.glob("aviary-attributes-*")).write_bytes(b"")
    with pytest.raises(EvaluatorError, match="sha256"):
        attributes.load_reader([tmp_path])


def test_a_saved_reader_is_found(tmp_path: Path) -> None:
    state = attributes.AttributeNet().state_dict()
    path = save_network(tmp_path / "made", "attributes", state, {"accuracy": 0.5}, "aviary")
    found = attributes.load_reader([tmp_path / "made"])
    assert found.accuracy == 0.5
    assert found.sha256[:8] in path.name


def test_nothing_is_saved_beside_a_damaged_list_of_judges(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{")
    state = attributes.AttributeNet().state_dict()
    with pytest.raises(EvaluatorError, match="is not JSON"):
        save_network(tmp_path, "attributes", state, {"accuracy": 0.5}, "aviary")
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
