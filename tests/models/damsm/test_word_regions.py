"""What DAMSM finds of a caption's words in a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.damsm.losses import GAMMA1
from models.damsm.word_regions import WordRegions, word_regions
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from tests.models.tiny import SIZE, TEXT, tiny_bundle


def test_attention_follows_the_equations() -> None:
    """AttnGAN, equations 7 to 9, written out."""
    source = torch.Generator().manual_seed(0)
    regions = torch.randn(5, 3, 3, generator=source)
    words = torch.randn(5, 4, generator=source)
    found = word_regions(regions, words)
    s = np.einsum("dt,dn->tn", words.numpy(), regions.reshape(5, 9).numpy())
    over_words = np.exp(s) / np.exp(s).sum(0)
    alpha = np.exp(GAMMA1 * over_words)
    alpha /= alpha.sum(1, keepdims=True)
    assert np.allclose(found.maps, alpha.reshape(4, 3, 3), atol=1e-5)
    assert np.allclose(found.shares, over_words.max(1), atol=1e-5)


def test_a_word_is_found_where_its_features_are() -> None:
    regions = torch.zeros(6, 2, 2)
    regions[2, 0, 1] = regions[3, 1, 0] = 4.0
    words = torch.zeros(6, 2)
    words[2, 0] = words[3, 1] = 4.0
    found = word_regions(regions, words)
    assert found.maps[0].argmax() == 1
    assert found.maps[1].argmax() == 2


def test_each_text_is_read_by_itself(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "seeing", damsm=True)
    pipeline = load(bundle.folder, "synthesize", None, "cpu")
    encoders = WordRegions(pipeline)
    pictures = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).clamp(
        -1, 1
    )
    with torch.inference_mode():
        long = "the blue bird has a red belly"
        both = encoders.find(pictures, [["red bird"], [long, "red bird"]])
        alone = encoders.find(pictures[:1], [["red bird"]])
    assert [len(found) for found in both] == [1, 2]
    assert both[0][0].maps.shape == (2, 2, 2)
    assert both[1][0].maps.shape == (7, 2, 2)
    assert np.allclose(both[0][0].maps, alone[0][0].maps, atol=1e-5)
    assert encoders.text.config.features == TEXT


def test_columns_are_those_of_its_own_vocabulary(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "seeing", damsm=True)
    pipeline = load(bundle.folder, "synthesize", None, "cpu")
    encoders = WordRegions(pipeline)
    encoders.words = type(encoders.words)(["<end>", "bird", "red"])  # lacks "a"
    columns = encoders.columns("a zorgly red bird", pipeline.locate_words("a zorgly red bird"))
    assert [word.column for word in columns] == [None, None, 0, 1]


def test_bundles_without_encoders(tiny: Path) -> None:
    pipeline = load(tiny, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    assert pipeline.encoders is None
