"""A linear layer that says how high people would rate a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jobs.captions import Blend
from models.bundle import Bundle, save_task
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.rating_head import ROLE, RatingHead, fit, pool
from models.damsm.word_regions import PART
from models.errors import BundleError
from models.pipeline import Pipeline
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from tests.models.tiny import SIZE, tiny_bundle

BLEND: Blend = (("a red bird", 1.0),)


def with_head(bundle: Bundle, head: RatingHead) -> SynthesisPipeline:
    """Synthesis of the bundle once it holds the head."""
    spec = bundle.task(PART)
    states = {role: bundle.state(PART, role) for role in spec.files} | {ROLE: head.state_dict()}
    save_task(bundle.folder, PART, {k: v for k, v in spec.raw.items() if k != "files"}, states)
    pipeline: Pipeline[object] = load(bundle.folder, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    return pipeline


def test_pooled_planes_are_means_of_the_deepest_tap_by_cell() -> None:
    taps = {4: torch.arange(36.0).view(1, 1, 6, 6), 2: torch.ones(1, 1, 12, 12)}
    wanted = [3.5, 5.5, 7.5, 15.5, 17.5, 19.5, 27.5, 29.5, 31.5]
    assert pool(taps).tolist() == [wanted]


def test_the_fit_repeats_the_ratings() -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=source) * torch.tensor([1, 2, 3, 1, 1, 0.0]) + 5
    ratings = (x[:, 0] - x[:, 2]).sigmoid()
    head = RatingHead(6)
    fit(head, x, ratings, weight=0.1)
    scores = ((x * head.weight).sum(1) + head.bias).detach()
    assert torch.corrcoef(torch.stack([scores, ratings]))[0, 1] > 0.9
    assert abs(float(scores.mean())) < 1e-4
    assert torch.isfinite(head.weight).all()  # a feature that never changes divides by nothing
    fit(head, x, ratings, weight=0.2)
    again = ((x * head.weight).sum(1) + head.bias).detach()
    assert torch.allclose(again, 2 * scores, atol=1e-4)


def test_it_is_added_to_the_agreement(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "seeing", damsm=True)
    plain: Pipeline[object] = load(bundle.folder, "synthesize", None, "cpu")
    assert isinstance(plain, SynthesisPipeline)
    pictures = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert plain.encoders is not None
    assert isinstance(plain.encoders.image, CompactImageEncoder)
    image = plain.encoders.image
    head = RatingHead.on(image.trunk, image.config.taps)
    torch.nn.init.normal_(head.weight)
    torch.nn.init.constant_(head.bias, 0.25)
    both = with_head(bundle, head).encoders
    assert both is not None
    with torch.inference_mode():
        without, found = plain.encoders.agreement(pictures, BLEND), both.agreement(pictures, BLEND)
        added = pool(image.taps(pictures)) @ head.weight + 0.25
    assert torch.allclose(torch.tensor(found), torch.tensor(without) + added, atol=1e-3)


def test_a_head_of_other_taps_is_refused(tmp_path: Path) -> None:
    pipeline = with_head(tiny_bundle(tmp_path / "seeing", damsm=True), RatingHead(7))
    with pytest.raises(BundleError, match="rating_head"):
        _ = pipeline.encoders
