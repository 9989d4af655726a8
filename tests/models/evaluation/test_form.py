"""The shipped form judge: whole birds pass, birds broken on purpose don't."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.aviary.drawing import PARTS, bird, label_map, render
from models.evaluation.anatomy import form
from models.evaluation.evaluator_files import (
    EVALUATORS,
    MANIFEST,
    EvaluatorError,
    EvaluatorMissing,
)
from models.evaluation.form import load_form_evaluator
from models.evaluation.pictures import stack
from tests.models.evaluation.drawings import Drawing, degrade, eyeless, near, paste, shift

COUNT = 40
BILL, TAIL, LEGS = PARTS.index("bill") + 1, PARTS.index("tail") + 1, 8
BIRDS = [bird("test", 7000 + k) for k in range(COUNT)]
DRAWN = [Drawing.of(b, 64) for b in BIRDS]
# The same scenes without bird and branch, which are far below the picture.
EMPTY = [Drawing.of(replace(b, centre=(0.5, 3.0)), 64) for b in BIRDS]


def shares(drawings: list[Drawing]) -> dict[str, float]:
    """What the shipped judge says of drawings, as shares."""
    pictures = [Image.fromarray(np.round(d.pixels * 255).astype(np.uint8)) for d in drawings]
    evaluator = load_form_evaluator()
    return {
        k: float(v.mean()) for k, v in form(evaluator.anatomy, evaluator.labels(pictures)).items()
    }


def heads_at_both_ends(drawing: Drawing) -> Drawing:
    """The half with the head mirrored over the other half."""
    half = np.zeros(drawing.labels.shape, bool)
    half[:, :32] = np.nonzero(drawing.labels == BILL)[1].mean() > 32
    half[:, 32:] = ~half[:, :1]
    return paste(drawing, drawing.mirrored(), half)


def lacking(label: int) -> list[Drawing]:
    """The birds without one part or the legs, the backdrop that lies behind it in its place."""
    pairs = zip(DRAWN, EMPTY, strict=True)
    return [paste(d, e, near(d.labels == label) & np.isin(d.labels, (0, label))) for d, e in pairs]


def floating_tail(drawing: Drawing, tailless: Drawing) -> Drawing:
    """The tail up in a corner, nothing in its place."""
    top = int(np.nonzero(drawing.labels == TAIL)[0].min())
    moved = shift(drawing, 3 - top, 0)
    return paste(tailless, moved, moved.labels == TAIL)


def test_whole_birds_pass_at_every_size() -> None:
    evaluator = load_form_evaluator()
    for size in (64, 128, 256):
        pictures = [render(bird("test", 7000 + k), size) for k in range(COUNT)]
        found = form(evaluator.anatomy, evaluator.labels(pictures))
        assert found["one_bird"].mean() >= 0.97
        assert found["two_heads"].mean() == 0
        assert min(found[f"{p}_found"].mean() for p in ("bill", "eye", "legs")) >= 0.95


def test_blurred_and_noisy_birds_still_pass() -> None:
    rough = degrade(
        stack([render(bird("test", 7000 + k), 64) for k in range(COUNT)]), np.random.default_rng(0)
    )
    evaluator = load_form_evaluator()
    found = form(evaluator.anatomy, evaluator.read(rough).numpy())
    assert found["one_bird"].mean() >= 0.8
    assert found["two_heads"].mean() <= 0.05


def test_two_heads_are_noticed() -> None:
    found = shares([heads_at_both_ends(d) for d in DRAWN])
    assert found["two_heads"] >= 0.95
    assert found["one_bird"] == 0


def test_missing_bill_is_noticed() -> None:
    found = shares(lacking(BILL))
    assert found["bill_found"] <= 0.05
    assert found["one_bird"] <= 0.05
    assert found["two_heads"] == 0


def test_floating_tail_is_noticed() -> None:
    found = shares([floating_tail(d, t) for d, t in zip(DRAWN, lacking(TAIL), strict=True)])
    assert found["one_bird"] <= 0.05


def test_missing_eye_and_legs_are_noticed() -> None:
    assert shares(lacking(LEGS))["legs_found"] <= 0.1
    assert shares([eyeless(d) for d in DRAWN])["eye_found"] <= 0.25  # black crowns may hide one


def test_empty_backdrop_shows_no_bird() -> None:
    found = shares(EMPTY)
    assert found["one_bird"] == found["two_heads"] == 0


def test_judge_reads_what_renders_show() -> None:
    evaluator = load_form_evaluator()
    birds = [bird("test", 8000 + k) for k in range(COUNT)]
    truth = np.stack([label_map(b, 64) for b in birds])
    assert (evaluator.labels([render(b, 64) for b in birds]) == truth).mean() >= 0.98


def test_judge_is_small() -> None:
    assert sum(p.stat().st_size for p in EVALUATORS.glob("aviary-form-*")) <= 500_000


def test_missing_judge_is_to_be_restored(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorMissing, match="judge of form; restore"):
        load_form_evaluator([tmp_path])


def test_damaged_judge_is_refused(tmp_path: Path) -> None:
    shutil.copy(EVALUATORS / MANIFEST, tmp_path)
    for path in EVALUATORS.glob("aviary-form-*"):
        (tmp_path / path.name).write_bytes(b"")
    with pytest.raises(EvaluatorError, match="sha256"):
        load_form_evaluator([tmp_path])
