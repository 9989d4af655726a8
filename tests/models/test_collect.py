"""Several runs, one bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.bundle import Bundle
from models.collect import collect
from models.errors import BundleError
from models.pipeline import Item
from models.registry import load
from tests.models.tiny import tiny_bundle


def test_collected_tasks_serve_and_share_files(tmp_path: Path) -> None:
    source = tiny_bundle(tmp_path / "source")
    made = collect(tmp_path / "made", [source.folder])
    assert set(made.tasks) == {"synthesize", "manipulate", "inpaint"}
    encoders = {spec.files["text_encoder"]["path"] for spec in made.tasks.values()}
    assert len(encoders) == 1
    assert "efficient-t2i" in (made.folder / "CARD.md").read_text()
    pipeline = load(made.folder, "synthesize", None, "cpu")
    assert not isinstance(pipeline.run([Item("a red bird", 1)]).pictures[0], Exception)
    again = collect(tmp_path / "made", [source.folder])
    assert again.sha256 == Bundle.open(tmp_path / "made").sha256 == made.sha256


def test_nothing_to_collect(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="can be served"):
        collect(tmp_path / "made", [])
