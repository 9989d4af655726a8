"""Batch statistics estimated again from captions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.bundle import Bundle
from models.data.opening import open_photos
from models.errors import BundleError, ModelsError
from models.pipeline import config_from
from models.registry import load
from models.synthesis.efficient_t2i.network import Generator, GeneratorConfig
from models.synthesis.efficient_t2i.official import recalibrate_bundle
from models.synthesis.pipeline import SynthesisPipeline
from tests.models.data.made_sets import plain, text
from tests.models.tiny import tiny_bundle


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = plain(tmp_path / "photos")
    for path in folder.rglob("*.txt"):
        text(path, "a red bird with blue wings", "a bird")
    return folder


def test_statistics_are_those_of_the_weights_on_first_captions(
    tiny: Path, photos: Path, tmp_path: Path
) -> None:
    made = recalibrate_bundle(tiny, str(photos), tmp_path / "made", passes=3, batch=4, seed=5)
    expected = trained(tiny, photos)
    state, before = made.state("synthesize", "generator"), Bundle.open(tiny)
    assert all(torch.equal(state[k], v) for k, v in expected.items())
    old = before.state("synthesize", "generator")
    changed = {k.rpartition(".")[2] for k in state if not torch.equal(state[k], old[k])}
    assert changed == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
        "weight_u",
        "weight_v",
    }
    assert made.task("inpaint").files == before.task("inpaint").files


def test_a_bundle_that_lacks_a_file_is_not_recalibrated_in_part(
    photos: Path, tmp_path: Path
) -> None:
    bundle = tiny_bundle(tmp_path / "own")
    next(bundle.folder.glob("inpaint-generator-*")).unlink()
    with pytest.raises(BundleError, match="cannot read inpaint-generator"):
        recalibrate_bundle(bundle.folder, str(photos), tmp_path / "made", passes=1)
    assert not (tmp_path / "made").exists()


def trained(tiny: Path, photos: Path) -> dict[str, torch.Tensor]:
    """Three passes of four captions in train mode, by hand."""
    pipeline = load(tiny, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    network = Generator(config_from(GeneratorConfig, pipeline.spec.network, "")).train()
    network.load_state_dict(pipeline.bundle.state("synthesize", "generator"))
    data = open_photos(photos, size=32)
    rows = [pipeline.encode(data.caption_texts(k)[0]).ids for k in range(len(data))]
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for k in range(3):
            chosen = [rows[(4 * k + n) % len(rows)] for n in range(4)]
            _, sentences = pipeline.text(*pipeline.captions(chosen))
            network(torch.randn(4, 8, generator=source), sentences)
    return network.state_dict()


def test_captions_of_unknown_words_are_refused(tiny: Path, photos: Path, tmp_path: Path) -> None:
    for path in photos.rglob("*.txt"):
        text(path, "zorgly qwertz")
    with pytest.raises(ModelsError):
        recalibrate_bundle(tiny, str(photos), tmp_path / "made")
