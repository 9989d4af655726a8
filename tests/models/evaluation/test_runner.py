"""Pipelines are evaluated as they are served, unless told otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.commands.evaluate import add_evaluate
from models.evaluation.run import Options, evaluate
from models.evaluation.runner import Runner
from models.pipeline import Item
from models.registry import load
from tests.models.tiny import tiny_bundle

ITEMS = [Item("a red bird", seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that serves without noise."""
    folder = tiny_bundle(tmp_path_factory.mktemp("weights") / "still", damsm=True).folder
    raw = json.loads((folder / "bundle.json").read_text())
    raw["tasks"]["synthesize"]["serving"] = {"noise_scale": 0.0}
    (folder / "bundle.json").write_text(json.dumps(raw))
    return folder


def test_the_bundle_decides(still: Path) -> None:
    pipeline = load(still, "synthesize", None, "cpu")
    one, other = map(np.asarray, Runner(pipeline).run(ITEMS))
    assert np.array_equal(one, other)


def test_options_go_before_the_bundle(still: Path) -> None:
    pipeline = load(still, "synthesize", None, "cpu")
    given = {"noise_scale": 1.0, "candidates": 4}
    shown = Runner(pipeline, serving=given).run(ITEMS)
    wanted = pipeline.run([replace(item, **given) for item in ITEMS]).pictures
    assert not np.array_equal(*map(np.asarray, shown))
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(shown, wanted, strict=True))


def test_the_report_says_how_it_was_served(still: Path, tmp_path: Path) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_evaluate(parser)
    words = [str(still), "--out", str(tmp_path), "--noise-scale", "0.5", "--candidates", "2"]
    given = parser.parse_args(words)
    options = Options(
        tasks=("synthesize",),
        samples=3,
        features=False,
        noise_scale=given.noise_scale,
        candidates=given.candidates,
    )
    evaluate(still, "aviary", tmp_path, options)
    facts = json.loads((tmp_path / "details.json").read_text())["facts"]
    assert facts["serving"]["synthesize"] == {"noise_scale": 0.5, "candidates": 2}
    assert "candidates: 2" in (tmp_path / "report.html").read_text()
