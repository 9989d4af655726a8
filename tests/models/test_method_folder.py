"""A further method is one folder and one line of the registry: with them it is imported, exported,
trained, saved and served.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from models.bundle import Bundle
from models.checkpoints.exporter import export
from models.checkpoints.importer import import_published
from models.registry import PIPELINES, load, method_folders
from models.training.config import ConfigError
from models.training.parts import (
    PARTS,
    initialise,
    known_options,
    needs_encoders,
    parse_options,
    save,
)
from tests.models.checkpoints.test_imports import same
from tests.models.test_pipelines import item
from tests.models.toy_method.pipeline import ToyConfig, ToyNetwork
from tests.models.training.photos import NoisePhotos, watch_two_steps

TOY = {"objective": "toy", "kernel": 5}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    PIPELINES["inpaint"]["toy"] = "tests.models.toy_method.pipeline:ToyPipeline"
    yield
    del PIPELINES["inpaint"]["toy"]


def fills(bundle: Bundle) -> None:
    (picture,) = load(bundle.folder, "inpaint", None, "cpu").run([item("")]).pictures
    assert isinstance(picture, Image.Image)


def test_its_published_file_becomes_a_bundle_and_comes_back(tmp_path: Path) -> None:
    torch.save(ToyNetwork(ToyConfig(7)).state_dict(), tmp_path / "toy.pth")
    bundle = import_published("toy", {"network": tmp_path / "toy.pth"}, tmp_path / "bundle")
    assert bundle.task("inpaint").network == {"kernel": 7}
    assert bundle.task("inpaint").licence == "CC0-1.0"
    fills(bundle)
    (path,) = export(bundle.folder, "toy", tmp_path / "out")
    same(path, tmp_path / "toy.pth")


def test_it_is_trained_saved_and_trained_further(tmp_path: Path) -> None:
    photos: Any = NoisePhotos(32)
    objective = PARTS["inpainting"](TOY, photos, None)
    loop = watch_two_steps(objective, photos, "inpainting", tmp_path)
    averaged = loop._recalibrated_averages()
    bundle = save(tmp_path / "bundle", "inpainting", objective, averaged, photos, None)
    fills(bundle)
    again = PARTS["inpainting"](TOY, photos, None)
    initialise(again, "inpainting", bundle.folder, photos.vocabulary)
    assert again.modules["network"].state_dict().keys() == averaged["network"].state_dict().keys()
    other = PARTS["inpainting"]({"objective": "csa", "width": 4, "detail": "none"}, photos, None)
    with pytest.raises(ConfigError, match="does inpaint by toy"):
        initialise(other, "inpainting", bundle.folder, photos.vocabulary)


def test_its_options_are_its_own() -> None:
    assert method_folders()["toy"].task == "inpaint"
    assert not needs_encoders("inpainting", TOY)
    assert needs_encoders("inpainting", {})
    assert {"kernel", "rate", "objective"} <= known_options("inpainting")
    assert "kernel" not in known_options("manipulation")
    with pytest.raises(ConfigError, match="no option 'kernels'"):
        parse_options("inpainting", {"objective": "toy", "kernels": 3})
    with pytest.raises(ConfigError, match=r"manipulation\.objective is"):
        parse_options("manipulation", TOY)
