"""Captions shorter than a network is used to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageChops

from models.errors import BundleError
from models.pipeline import Item, Pipeline
from models.registry import load
from tests.models.tiny import tiny_bundle


def bundle(folder: Path, **fields: Any) -> Path:
    """A bundle with further fields for ``/synthesize``."""
    made = tiny_bundle(folder).folder
    manifest = json.loads((made / "bundle.json").read_text())
    manifest["tasks"]["synthesize"] |= fields
    (made / "bundle.json").write_text(json.dumps(manifest))
    return made


def same(pipeline: Pipeline[Any], a: str, b: str) -> bool:
    """Whether two captions give the same picture."""
    first, second = (pipeline.run([Item(text, 3)]).pictures[0] for text in (a, b))
    return ImageChops.difference(first, second).getbbox() is None


def test_a_short_caption_is_read_until_it_is_long_enough(tmp_path: Path) -> None:
    pipeline = load(bundle(tmp_path / "long", min_words=5), "synthesize", None, "cpu")
    assert same(pipeline, "a red bird", "a red bird a red bird")
    assert same(pipeline, "red zorgly", "red red red red red")  # unknown words don't count
    assert not same(pipeline, "a red bird with blue", "a red bird with blue a red bird with blue")


def test_other_bundles_read_a_caption_once(tmp_path: Path) -> None:
    pipeline = load(bundle(tmp_path / "any"), "synthesize", None, "cpu")
    assert not same(pipeline, "a red bird", "a red bird a red bird")


def test_a_minimum_is_a_whole_number(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="min_words"):
        load(bundle(tmp_path / "wrong", min_words="five"), "synthesize", None, "cpu")
