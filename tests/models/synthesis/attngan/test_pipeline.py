"""AttnGAN served and imported: its attention explains, blends see all words, files come back."""

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
from models.forward import run
from models.pipeline import Item
from models.registry import load
from tests.conftest import WORDS
from tests.models.checkpoints.published import save, save_captions, truncated
from tests.models.tiny import METHODS, SIZE


@pytest.fixture
def attngan(tiny_methods: dict[str, Path]) -> Path:
    return tiny_methods["attngan"]


def test_words_are_explained_by_the_networks_own_attention(attngan: Path) -> None:
    pipeline = load(attngan, "synthesize", None, "cpu")
    asked = Item("a zorgly red bird", 1, explain=True)
    longer = Item("the blue bird has a red belly with yellow wings", 2, explain=True)
    found = pipeline.run([asked, longer]).explanations[0]
    assert [list(w.maps) for w in found.words] == [["attention16"], [], *[["attention16"]] * 2]
    shares = np.stack([w.maps["attention16"] for w in found.words if w.maps]).sum(0)
    assert shares == pytest.approx(1, abs=1e-4)
    alone = pipeline.run([asked]).explanations[0]
    for one, two in zip(found.words, alone.words, strict=True):
        for name, plane in one.maps.items():
            assert np.allclose(plane, two.maps[name], atol=1e-5)


def test_a_blend_attends_to_the_words_of_all_its_texts(attngan: Path) -> None:
    pipeline = load(attngan, "synthesize", None, "cpu")
    mixed = Item("a red bird", 1, mixed=(("a red bird", 0.5), ("blue", 0.5)), explain=True)
    result = pipeline.run([mixed, Item("a red bird", 1)])
    told = result.explanations[0]
    assert [(w.text, w.word.word) for w in told.words] == [
        (0, "a"),
        (0, "red"),
        (0, "bird"),
        (1, "blue"),
    ]
    assert sum(w.maps["attention16"] for w in told.words) == pytest.approx(1, abs=1e-4)
    one, two = (np.asarray(p) for p in result.pictures)
    assert (one != two).any()


def test_files_become_a_bundle_that_serves_their_pixels_and_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    _, modules, _ = METHODS["attngan"]()
    old = {k: v for k, v in modules["generator"].state_dict().items() if "num_b" not in k}
    files = {
        "generator": save(old, tmp_path / "bird_AttnGAN2.pth"),
        "text-encoder": save(modules["text_encoder"].state_dict(), tmp_path / "text.pth"),
        "captions": save_captions(tmp_path / "captions.pickle", WORDS),
    }
    first = import_published("attngan", files, tmp_path / "first")
    spec = first.task("synthesize")
    assert (spec.size, spec.max_words, spec.raw["explains"]) == (SIZE, 500, True)
    pipeline = load(first.folder, "synthesize", None, "cpu")
    item = Item("a red bird", 3)
    (picture,) = pipeline.run([item]).pictures
    assert isinstance(picture, Image.Image)
    source = torch.Generator().manual_seed(3)
    given = {n: torch.randn(1, k, generator=source) for n, k in (("z", 8), ("ca_noise", 6))}
    ids = torch.tensor([pipeline.prepare(item).captions[0]])
    with torch.no_grad():
        words, sentence = modules["text_encoder"].eval()(ids, torch.tensor([3]))
    given |= {"words": words, "sentence": sentence, "lengths": torch.tensor([3])}
    found = run(first.folder, "synthesize", {k: v.numpy() for k, v in given.items()})
    expected = truncated(torch.from_numpy(found[f"image{SIZE}"])).astype(int)
    assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 1
    export(first.folder, "attngan", tmp_path / "out")
    again = {k: tmp_path / "out" / f"{k.replace('-', '_')}.pth" for k in files if k != "captions"}
    assert all(torch.equal(v, read(again["generator"])[k]) for k, v in old.items())
    again["captions"] = tmp_path / "out" / "captions.pickle"
    second = import_published("attngan", again, tmp_path / "again")
    assert second.task("synthesize").files == spec.files
    assert Bundle.open(second.folder).task("synthesize").network == spec.network
