"""A linear layer that says how much of its subject a picture shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jobs.captions import Blend
from models.bundle import Bundle, save_task
from models.damsm.image_encoder import CompactImageEncoder
from models.damsm.subject_head import ROLE, SubjectHead, fit, log_odds, pool
from models.damsm.word_regions import PART
from models.errors import BundleError
from models.pipeline import Pipeline
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from tests.models.tiny import SIZE, tiny_bundle

BLEND: Blend = (("a red bird", 1.0),)


def with_head(bundle: Bundle, head: SubjectHead) -> SynthesisPipeline:
    """Synthesis of the bundle once it holds the head."""
    spec = bundle.task(PART)
    states = {role: bundle.state(PART, role) for role in spec.files} | {ROLE: head.state_dict()}
    save_task(bundle.folder, PART, {k: v for k, v in spec.raw.items() if k != "files"}, states)
    pipeline: Pipeline[object] = load(bundle.folder, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    return pipeline


def test_pooled_planes_are_means_maxima_and_deviations() -> None:
    taps = {4: torch.arange(8.0).view(1, 2, 2, 2), 2: torch.ones(1, 1, 3, 3)}
    wanted = [1, 1, 0, 1.5, 5.5, 3, 7, 1.2910, 1.2910]
    assert torch.allclose(pool(taps), torch.tensor([wanted]), atol=1e-4)


def test_the_fit_repeats_the_classifier() -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(400, 6, generator=source) * torch.tensor([1, 2, 3, 1, 1, 0.0]) + 5
    truth = x[:, 0] - x[:, 2] + 10
    head = SubjectHead(6)
    fit(head, x, truth.sigmoid(), weight=0.1)
    scores = ((x * head.weight).sum(1) + head.bias).detach()
    assert torch.corrcoef(torch.stack([scores, truth]))[0, 1] > 0.98
    assert abs(float(scores.mean())) < 1e-4
    assert torch.isfinite(head.weight).all()  # a feature that never changes divides by nothing


def test_the_classifier_is_not_believed_to_be_sure() -> None:
    found = log_odds(torch.tensor([0.0, 0.5, 1.0]))
    assert found.tolist() == [-10, 0, 10]


def test_it_is_added_to_the_agreement(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "seeing", damsm=True)
    plain: Pipeline[object] = load(bundle.folder, "synthesize", None, "cpu")
    assert isinstance(plain, SynthesisPipeline)
    pictures = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert plain.encoders is not None
    assert isinstance(plain.encoders.image, CompactImageEncoder)
    image = plain.encoders.image
    head = SubjectHead.on(image.trunk, image.config.taps)
    torch.nn.init.normal_(head.weight)
    torch.nn.init.constant_(head.bias, 0.25)
    both = with_head(bundle, head).encoders
    assert both is not None
    with torch.inference_mode():
        without, found = plain.encoders.agreement(pictures, BLEND), both.agreement(pictures, BLEND)
        added = pool(image.taps(pictures)) @ head.weight + 0.25
    assert torch.allclose(torch.tensor(found), torch.tensor(without) + added, atol=1e-3)


def test_a_head_of_other_taps_is_refused(tmp_path: Path) -> None:
    pipeline = with_head(tiny_bundle(tmp_path / "seeing", damsm=True), SubjectHead(7))
    with pytest.raises(BundleError, match="subject_head"):
        _ = pipeline.encoders
