"""docs/explain.md says what the code says, and what was measured."""

from __future__ import annotations

from pathlib import Path

from jobs.request_texts import MAX_FRAMES, MAX_TEXTS, MAX_WEIGHT
from jobs.requests import MAX_MORPH_FRAMES, TASKS
from models.explanation import LONGER_SIDE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explain.md").read_text(encoding="utf-8")


def test_the_limits_are_the_codes() -> None:
    assert f"{LONGER_SIDE} pixels on its longer side" in PAGE
    assert f"2 to {MAX_TEXTS} texts" in PAGE
    assert f"at most {MAX_WEIGHT:.0f}" in PAGE
    assert f"`frames` (2 to {MAX_FRAMES})" in PAGE
    assert f"count × frames may be at most {MAX_MORPH_FRAMES}" in PAGE


def test_every_task_that_explains_is_told_of() -> None:
    for name, task in TASKS.items():
        assert (task.explained_by is not None) == (f"| {name} | `" in PAGE)


def test_its_pictures_are_there() -> None:
    for name in ("explained.webp", "morph.png"):
        assert (ROOT / f"docs/pictures/aviary-{name}").stat().st_size > 10_000
        assert f"(pictures/aviary-{name})" in PAGE
