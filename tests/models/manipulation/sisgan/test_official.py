"""SISGAN's published files, of either form, become bundles that serve, and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.bundle import Bundle
from models.checkpoints.exporter import export
from models.checkpoints.files import read
from models.checkpoints.importer import import_published
from models.errors import BundleError
from models.manipulation.sisgan.network import SisganDiscriminator, SisganDiscriminatorConfig
from models.pipeline import Item
from models.registry import load
from tests.conftest import WORDS
from tests.models.checkpoints.published import save, save_captions
from tests.models.test_pipelines import a_photo
from tests.models.tiny import METHODS


@pytest.fixture(params=["sisgan", "sisgan-vgg"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """As torch 0.2 saved them, without counters; of the embedding also what nobody needs."""
    torch.manual_seed(0)
    _, modules, _ = METHODS[request.param]()
    cell = modules["sentence_encoder"].state_dict()
    embedding = {f"txt_encoder.{k.removeprefix('cell.')}_l0": v for k, v in cell.items()}
    generator = {k: v for k, v in modules["generator"].state_dict().items() if "num_b" not in k}
    judge = SisganDiscriminator(SisganDiscriminatorConfig(4, 6, 12)).state_dict()
    np.savez(
        tmp_path / "wiki.npz",
        words=np.array(WORDS[1:]),
        vectors=np.random.default_rng(0).normal(size=(len(WORDS) - 1, 8)).astype(np.float32),
    )
    return {
        "generator": save(generator, tmp_path / "G.pth"),
        "discriminator": save(judge, tmp_path / "D.pth"),
        "embedding": save({**embedding, "W.weight": torch.zeros(3, 4)}, tmp_path / "vse.pth"),
        "vectors": tmp_path / "wiki.npz",
        "captions": save_captions(tmp_path / "captions.pickle", WORDS),
    }


def test_an_import_serves_and_comes_back_bit_by_bit(files: dict[str, Path], tmp_path: Path) -> None:
    first = import_published("sisgan", files, tmp_path / "first")
    spec = first.task("manipulate")
    assert (spec.size, spec.raw["explains"]) == (64, False)
    item = Item("a red bird", 3, 0, {"image": a_photo()})
    (picture,) = load(first.folder, "manipulate", None, "cpu").run([item]).pictures
    assert isinstance(picture, Image.Image)
    out = tmp_path / "out"
    export(first.folder, "sisgan", out)
    names = {"generator": "generator.pth", "embedding": "text_embedding.pth"}
    for role, name in names.items():
        one, two = read(files[role]), read(out / name)
        shared = [k for k in one if k != "W.weight"]
        assert all(torch.equal(one[k], two[k]) for k in shared)
        assert {k for k in two if "num_b" not in k} == set(shared)
    again = {role: out / name for role, name in names.items()}
    again |= {"vectors": out / "vectors.npz", "captions": out / "captions.pickle"}
    again["discriminator"] = out / "discriminator.pth"
    second = import_published("sisgan", again, tmp_path / "again")
    assert second.task("manipulate").files == spec.files
    assert Bundle.open(second.folder).task("manipulate").network == spec.network


def test_an_embedding_of_another_size_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    state = read(files["embedding"])
    cell = torch.nn.GRU(8, 5).state_dict()
    files["embedding"] = save(
        {**state, **{f"txt_encoder.{k}": v for k, v in cell.items()}}, tmp_path / "other.pth"
    )
    with pytest.raises(BundleError, match="of 12 numbers, the embedding writes 5"):
        import_published("sisgan", files, tmp_path / "bundle")
