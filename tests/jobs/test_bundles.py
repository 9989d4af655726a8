"""What a bundle says of the options that requests leave open."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.bundles import BundleInfo, BundleTask, Catalogue
from jobs.errors import BundlesError
from tests.conftest import write_paper_bundle


def synthesis(folder: Path, *parts: str, **serving: Any) -> BundleTask:
    """The task of a bundle that also holds ``parts``."""
    write_paper_bundle(folder, ("synthesize", "inpaint", *parts))
    raw = json.loads((folder / "bundle.json").read_text())
    if serving:
        raw["tasks"]["synthesize"]["serving"] = serving
    (folder / "bundle.json").write_text(json.dumps(raw))
    return BundleInfo.read(folder).tasks["synthesize"]


def test_bundles_without_options_serve_as_they_did(tmp_path: Path) -> None:
    task = synthesis(tmp_path / "old", "damsm")
    assert task.serving == {"noise_scale": 1.0, "candidates": 1}
    assert BundleInfo.read(tmp_path / "old").tasks["inpaint"].serving == {"fidelity": None}


def test_options_are_read(tmp_path: Path) -> None:
    task = synthesis(tmp_path / "new", "damsm", noise_scale=0.7, candidates=4)
    assert task.serving == {"noise_scale": 0.7, "candidates": 4}


def test_nobody_chooses_without_encoders(tmp_path: Path) -> None:
    task = synthesis(tmp_path / "blind", noise_scale=0.7, candidates=4)
    assert not task.ranks_candidates
    assert task.serving == {"noise_scale": 0.7, "candidates": 1}


@pytest.mark.parametrize(
    "serving",
    [
        {"candidates": 17},
        {"candidates": 0},
        {"noise_scale": 3},
        {"nose_scale": 0.5},
        {"fidelity": "high"},
    ],
)
def test_impossible_options_are_told_at_once(tmp_path: Path, serving: dict[str, Any]) -> None:
    with pytest.raises(BundlesError, match="can't be read"):
        synthesis(tmp_path / "bad", "damsm", **serving)


@pytest.mark.parametrize("name", ["../other/vocabulary.json", "/etc/passwd", "a/b.json", ".."])
def test_a_vocabulary_lies_in_its_bundle(tmp_path: Path, name: str) -> None:
    write_paper_bundle(tmp_path / "paper", ("synthesize",))
    spec = {"vocabulary": name, "max_words": 9}
    task = BundleTask("synthesize", "paper", tmp_path / "paper", spec)
    with pytest.raises(ValueError, match="is no file in the folder of bundle 'paper'"):
        task.encode("a bird")


def test_a_vocabulary_is_the_one_that_was_meant(tmp_path: Path) -> None:
    write_paper_bundle(tmp_path / "paper", ("synthesize",))
    data = (tmp_path / "paper/vocabulary.json").read_bytes()
    right = hashlib.sha256(data).hexdigest()
    for digest, known in ((right, True), ("0" * 64, False)):
        spec = {"vocabulary": "vocabulary.json", "vocabulary_sha256": digest, "max_words": 9}
        task = BundleTask("synthesize", "paper", tmp_path / "paper", spec)
        if known:
            assert task.encode("a bird").ids
        else:
            with pytest.raises(ValueError, match="get both again"):
                task.encode("a bird")


def test_a_network_that_explains_nothing_is_said_to(tmp_path: Path) -> None:
    spec = {"method": "paper", "size": 8}
    plain, mute = (
        BundleTask("manipulate", "paper", tmp_path, {**spec, **more})
        for more in ({}, {"explains": False})
    )
    assert plain.explanation_problem("paper") is None
    assert mute.explanation_problem("paper") == (
        "Bundle 'paper' explains no edits by paper; leave explain out."
    )


def test_only_licensed_tasks_are_served(tmp_path: Path) -> None:
    for name, licences in [
        ("free", {}),
        ("mixed", {"inpaint": "non-commercial"}),
        ("bound", dict.fromkeys(("synthesize", "inpaint"), "non-commercial")),
    ]:
        write_paper_bundle(tmp_path / name, ("synthesize", "inpaint"))
        path = tmp_path / name / "bundle.json"
        raw = json.loads(path.read_text()) | {"licence": "Apache-2.0"}
        for task, licence in licences.items():
            raw["tasks"][task]["licence"] = licence
        path.write_text(json.dumps(raw))
    (tmp_path / "defaults.json").write_text('{"inpaint": "mixed", "synthesize": "bound"}')
    served = Catalogue.open(tmp_path, licences=["Apache-2.0"])
    assert {name: set(info.tasks) for name, info in served.bundles.items()} == {
        "free": {"synthesize", "inpaint"},
        "mixed": {"synthesize"},
    }
    assert (served.default("inpaint"), served.default("synthesize")) == ("free", "free")
    assert set(Catalogue.open(tmp_path).bundles) == {"free", "mixed", "bound"}
