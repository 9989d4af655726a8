"""Teaching a bundle what its subject looks like."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest
import torch

from models.bundle import Bundle, save_task
from models.commands.bundles import add_subject, run_subject
from models.damsm.subject_head import ROLE
from models.errors import ModelsError
from models.registry import load
from models.synthesis.pipeline import SynthesisPipeline
from models.training.subject import Options, teach_subject
from tests.models.data.made_sets import cub
from tests.models.tiny import tiny_bundle


def bundle_of(where: Path, domain: str) -> Path:
    folder = tiny_bundle(where / "bundle", damsm=True).folder
    bundle = Bundle.open(folder)
    spec = bundle.task("damsm")
    states = {role: bundle.state("damsm", role) for role in spec.files}
    raw = {k: v for k, v in spec.raw.items() if k != "files"}
    save_task(folder, "damsm", raw, states, domain=domain)
    return folder


def test_the_command_adds_a_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, photos = bundle_of(tmp_path, "birds"), cub(tmp_path / "photos", each=5)
    before = Bundle.open(folder)
    parser = argparse.ArgumentParser()
    add_subject(parser)
    words = [str(folder), "--data", str(photos), "--pictures", "40", "--device", "cpu"]
    run_subject(parser.parse_args(words))
    after = Bundle.open(folder)
    assert set(after.task("damsm").files) == {*before.task("damsm").files, ROLE}
    assert after.task("synthesize").files == before.task("synthesize").files
    weight = after.state("damsm", ROLE)["weight"]
    assert torch.isfinite(weight).all()
    assert weight.abs().max() > 0
    pipeline = load(folder, "synthesize", None, "cpu")
    assert isinstance(pipeline, SynthesisPipeline)
    assert pipeline.encoders is not None
    assert pipeline.encoders.subject is not None
    correlation = float(capsys.readouterr().out.rpartition(" ")[2])
    assert math.isfinite(correlation)


def test_what_has_no_subject_is_refused(tmp_path: Path) -> None:
    folder = bundle_of(tmp_path, "scenes")
    with pytest.raises(ModelsError, match="no subject for pictures of 'scenes'"):
        teach_subject(folder, "nowhere", Options())
