"""TAGAN's published files become bundles that serve, and come back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.captions import Vocabulary
from models.__main__ import command_line
from models.bundle import Bundle
from models.checkpoints.exporter import export
from models.checkpoints.files import read
from models.checkpoints.importer import import_published
from models.errors import BundleError
from models.forward import run
from models.pipeline import Item
from models.registry import load
from tests.conftest import WORDS
from tests.models.checkpoints.published import save, save_captions, signed, truncated
from tests.models.test_pipelines import a_photo
from tests.models.tiny import METHODS

KNOWN = [word for word in WORDS[1:] if word != "yellow"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One word of the captions has no vector, and some vectors are of other words."""
    torch.manual_seed(0)
    _, modules, _ = METHODS["tagan"]()
    found = {
        role: save(modules[role].state_dict(), tmp_path / f"birds_{role}.pth")
        for role in ("generator", "discriminator")
    }
    table = np.random.default_rng(0).normal(size=(len(KNOWN) + 1, 8)).astype(np.float32)
    lines = [f"{w} {' '.join(map(str, v))}" for w, v in zip(["the", *KNOWN], table, strict=True)]
    found["vectors"] = tmp_path / "wiki.vec"
    found["vectors"].write_text(f"{len(lines)} 8\n" + "\n".join(lines))
    return {**found, "captions": save_captions(tmp_path / "captions.pickle", WORDS)}


def test_an_import_serves_the_networks_own_pixels(files: dict[str, Path], tmp_path: Path) -> None:
    bundle = import_published("tagan", files, tmp_path / "birds")
    spec = bundle.task("manipulate")
    assert (spec.size, spec.max_words, spec.raw["explains"]) == (32, 50, True)
    assert Vocabulary.load(bundle.vocabulary_path("manipulate")).words[1:] == tuple(KNOWN)
    card = (bundle.folder / "CARD.md").read_text()
    assert f"1 of {len(WORDS) - 1} words have no vector" in card
    assert "Apache-2.0" in card
    photo, text = np.asarray(a_photo(32, 32)), "a red bird"
    pipeline = load(bundle.folder, "manipulate", None, "cpu")
    item = Item(text, 3, 0, {"image": Image.fromarray(photo)})
    (picture,) = pipeline.run([item]).pictures
    rows = dict(line.split(" ", 1) for line in files["vectors"].read_text().splitlines()[1:])
    vectors = np.array([[np.fromstring(rows[w], np.float32, sep=" ") for w in text.split()]])
    noise = torch.randn(6, generator=torch.Generator().manual_seed(3))[None]
    given = {"image": signed(photo).numpy(), "vectors": vectors, "noise": noise.numpy()}
    found = run(bundle.folder, "manipulate", {**given, "lengths": np.array([3])})
    expected = truncated(torch.from_numpy(found["image"])).astype(int)
    assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 1


def test_what_is_imported_comes_back_bit_by_bit(files: dict[str, Path], tmp_path: Path) -> None:
    first = import_published("tagan", files, tmp_path / "first")
    out = tmp_path / "out"
    export(first.folder, "tagan", out)
    for role in ("generator", "discriminator"):
        one, two = read(files[role]), read(out / f"{role}.pth")
        assert one.keys() == two.keys()
        assert all(torch.equal(one[k], two[k]) for k in one)
    again = {role: out / f"{role}.pth" for role in ("generator", "discriminator")}
    again |= {"vectors": out / "vectors.npz", "captions": out / "captions.pickle"}
    second = import_published("tagan", again, tmp_path / "again")
    assert second.task("manipulate").files == first.task("manipulate").files


def test_the_command_takes_the_folders_files(files: dict[str, Path], tmp_path: Path) -> None:
    given = [f"--{role}={path}" for role, path in files.items() if role != "discriminator"]
    arguments = command_line().parse_args(["import", "tagan", *given, f"--out={tmp_path / 'b'}"])
    arguments.run(arguments)
    spec = Bundle.open(tmp_path / "b").task("manipulate")
    assert (spec.size, spec.raw["explains"]) == (128, False)  # which the discriminator would say


def test_other_networks_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    swapped = {**files, "generator": files["discriminator"]}
    with pytest.raises(BundleError, match="of another kind"):
        import_published("tagan", swapped, tmp_path / "b")
