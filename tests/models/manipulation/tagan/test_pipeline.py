"""TAGAN served: what its explanations say, and what a bundle that doesn't fit is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.bundle import Bundle, save_task
from models.errors import BundleError, ModelsError
from models.forward import run
from models.pipeline import Item
from models.registry import load
from tests.models.test_pipelines import a_photo
from tests.models.tiny import SIZE, vectors


@pytest.fixture
def tagan(tiny_methods: dict[str, Path]) -> Path:
    return tiny_methods["tagan"]


def changed(source: Path, out: Path, drop: str = "", **states: torch.nn.Module) -> Path:
    """The bundle with other roles, or without one."""
    bundle = Bundle.open(shutil.copytree(source, out))
    kept = {r: bundle.state("manipulate", r) for r in bundle.task("manipulate").files if r != drop}
    kept |= {role: module.state_dict() for role, module in states.items()}
    return save_task(out, "manipulate", bundle.task("manipulate").raw, kept).folder


def test_words_weigh_one_in_all(tagan: Path) -> None:
    item = Item("a zorgly red bird", 1, 0, {"image": a_photo()}, explain=True)
    other = Item("the blue bird has a red belly", 1, 0, {"image": a_photo()}, explain=True)
    result = load(tagan, "manipulate", None, "cpu").run([item, other])
    found = result.explanations[0]
    assert [word.peak is None for word in found.words] == [False, True, False, False]
    assert sum(word.peak or 0 for word in found.words) == pytest.approx(1)
    assert found.features["change"].shape == (85, 128)
    assert found.features["change"].max() > 0


def test_without_a_discriminator_nothing_is_explained(tagan: Path, tmp_path: Path) -> None:
    folder = changed(tagan, tmp_path / "alone", drop="discriminator")
    pipeline = load(folder, "manipulate", None, "cpu")
    asked = Item("red bird", 1, 0, {"image": a_photo()}, explain=True)
    plain = Item("red bird", 1, 0, {"image": a_photo()})
    told, picture = pipeline.run([asked, plain]).pictures
    assert isinstance(told, ModelsError)
    assert "does not explain" in str(told)
    assert isinstance(picture, Image.Image)


def test_vectors_of_another_width_are_refused(tagan: Path, tmp_path: Path) -> None:
    folder = changed(tagan, tmp_path / "wide", word_vectors=vectors(9))
    with pytest.raises(BundleError, match=r"word_vectors holds \[\d+, 9\] numbers"):
        load(folder, "manipulate", None, "cpu")


def test_raw_runs_are_what_is_served(tagan: Path) -> None:
    pipeline = load(tagan, "manipulate", None, "cpu")
    photo = a_photo(SIZE, SIZE)
    item = Item("a red bird", 5, 0, {"image": photo})
    prepared = pipeline.prepare(item)
    vectors, pad = pipeline.look_up([prepared.ids])  # type: ignore[attr-defined]
    image = np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    given = {"image": image, "vectors": vectors.numpy(), "noise": prepared.draws[0][None].numpy()}
    found = run(tagan, "manipulate", {**given, "lengths": (~pad).sum(1).numpy()})
    assert {"image", "mu", "log_sigma", "encoded", "logit", "match"} <= found.keys()
    served = pipeline.forward([prepared])[0]
    assert np.abs((found["image"][0].transpose(1, 2, 0) + 1) / 2 - served).max() <= 1e-5
