"""Files laid out as published, at small sizes, become bundles that serve; anything else is refused
with a sentence.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.bundle import Bundle
from models.checkpoints.captions import read_words
from models.checkpoints.collect import collect
from models.checkpoints.exporter import export
from models.checkpoints.files import read
from models.checkpoints.importer import import_published
from models.damsm.inception import InceptionImageEncoder
from models.errors import BundleError
from models.forward import run
from models.pipeline import Item
from models.registry import load
from tests.conftest import WORDS
from tests.models.checkpoints.published import (
    SMALL,
    T2I_PARAMS,
    TEXT,
    Published,
    save,
    save_captions,
)
from tests.models.tiny import tiny_bundle


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path / "files", WORDS)


def serves(bundle: Bundle, task: str) -> None:
    photo = Image.new("RGB", (50, 40), "blue")
    mask = Image.new("L", (50, 40), 0)
    mask.paste(255, (10, 10, 30, 30))
    item = Item("a red bird", 1, 0, {"image": photo, "mask": mask})
    (picture,) = load(bundle.folder, task, None, "cpu").run([item]).pictures
    assert isinstance(picture, Image.Image), picture


@pytest.mark.parametrize("whole", [True, False])
def test_efficient_t2i_of_a_training_state_or_with_prefixes(
    published: Published, tmp_path: Path, whole: bool
) -> None:
    files = published.efficient_t2i()
    if not whole:
        state = read(files["generator"], inside="net")
        files["generator"] = save(state, tmp_path / "bare.pth", "module.")
    bundle = import_published("efficient-t2i", files, tmp_path / "bird")
    serves(bundle, "synthesize")
    z, sentence = torch.randn(2, 8), torch.randn(2, TEXT)
    with torch.no_grad():
        expected = published.networks["efficient-t2i/generator"](z, sentence).numpy()
    found = run(bundle.folder, "synthesize", {"z": z.numpy(), "sentence": sentence.numpy()})
    assert np.abs(found["image"] - expected).max() <= 1e-5


def test_tdanet_with_prefix_and_aliases(published: Published, tmp_path: Path) -> None:
    bundle = import_published("tdanet", published.tdanet(), tmp_path / "bird")
    serves(bundle, "inpaint")
    spec = bundle.task("inpaint")
    assert spec.tokenizer == "treebank"
    assert tuple(spec.network["encoder"]) == SMALL.tdanet.encoder
    assert spec.network["feature"] == SMALL.tdanet.feature


@pytest.mark.slow
def test_three_imports_share_a_folder_and_keep_their_own(
    published: Published, tmp_path: Path
) -> None:
    other = Published(tmp_path / "other", [*WORDS, "sky"])
    out = tmp_path / "bird"
    import_published("manigan", published.manigan(), out)
    import_published("tdanet", other.tdanet(), out)
    bundle = import_published("efficient-t2i", published.efficient_t2i(), out)
    for task in ("manipulate", "inpaint", "synthesize"):
        serves(bundle, task)
    vocabularies = {t: s.vocabulary for t, s in bundle.tasks.items()}
    assert vocabularies["manipulate"] == vocabularies["synthesize"] != vocabularies["inpaint"]
    card = (out / "CARD.md").read_text()
    for words in (
        "## manigan",
        "## tdanet",
        "## efficient-t2i",
        "netC_epoch_100.pth",
        "academic research only",
    ):
        assert words in card
    given = {
        "image": np.zeros((1, 3, 32, 32), np.float32),
        "captions": np.array([[1, 2, 3, 0]]),
        "lengths": np.array([3]),
        "z": np.zeros((1, 5), np.float32),
        "ca_noise": np.zeros((1, 6), np.float32),
    }
    found = run(out, "manipulate", given)
    assert set(found) == {
        "words",
        "sentence",
        "global_code",
        "image64",
        "image128",
        "image256",
        "final",
    }


def test_damsm(published: Published, tmp_path: Path) -> None:
    image = save(InceptionImageEncoder(TEXT).state_dict(), tmp_path / "image.pth")
    files = {**published.tdanet(), "image-encoder": image}
    assert set(import_published("damsm", files, tmp_path / "damsm").tasks) == {"damsm"}


def test_disagreeing_aliases_are_refused(published: Published, tmp_path: Path) -> None:
    files = published.tdanet()
    state = torch.load(files["encoder"], weights_only=True)
    state["module.block0.model.0.module.bias"] = state["module.block0.model.0.module.bias"] + 1
    torch.save(state, files["encoder"])
    with pytest.raises(BundleError, match="hold different numbers"):
        import_published("tdanet", files, tmp_path / "bird")


def test_the_wrong_kind_of_file_is_refused(published: Published, tmp_path: Path) -> None:
    files = published.tdanet()
    with pytest.raises(BundleError, match="of another kind"):
        import_published(
            "efficient-t2i", {**files, "generator": files["encoder"]}, tmp_path / "bird"
        )
    swapped = {**files, "encoder": files["generator"], "generator": files["encoder"]}
    with pytest.raises(BundleError, match="of another kind"):
        import_published("tdanet", swapped, tmp_path / "bird")


def test_missing_and_unexpected_keys_are_listed(published: Published, tmp_path: Path) -> None:
    files = published.efficient_t2i()
    state = read(files["generator"], inside="net")
    del state["bn.bias"]
    save({**state, "extra": torch.zeros(1)}, files["generator"])
    with pytest.raises(BundleError, match=r"missing: bn\.bias; unexpected: extra"):
        import_published("efficient-t2i", files, tmp_path / "bird")


def test_truncated_and_foreign_files_are_refused(tmp_path: Path, published: Published) -> None:
    data = published.tdanet()["text-encoder"].read_bytes()
    (tmp_path / "cut.pth").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, words in (
        ("cut", "is cut off"),
        ("text", "not a readable"),
        ("list", "no state dict"),
    ):
        with pytest.raises(BundleError, match=words):
            read(tmp_path / f"{name}.pth")
    with pytest.raises(BundleError, match="There is no file"):
        read(tmp_path / "none.pth")


class Hostile:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/mmml-was-here"),))


def test_hostile_pickles_are_refused(tmp_path: Path) -> None:
    for name, writer in (("captions.pickle", pickle.dump), ("weights.pth", torch.save)):
        with (tmp_path / name).open("wb") as file:
            writer([Hostile()], file)
    with pytest.raises(BundleError, match="is refused"):
        read_words(tmp_path / "captions.pickle")
    with pytest.raises(BundleError, match="not a readable checkpoint"):
        read(tmp_path / "weights.pth")
    assert not Path("/tmp/mmml-was-here").exists()


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (3, 2**40, 1)])
def test_a_tensor_that_repeats_itself_without_end_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    torch.save({"weight": torch.zeros(1).expand(shape)}, tmp_path / "weights.pth")
    with pytest.raises(BundleError, match=r"weight claims \d+ numbers and holds fewer"):
        read(tmp_path / "weights.pth")


def test_a_vocabulary_of_another_encoder_is_refused(published: Published, tmp_path: Path) -> None:
    files = {
        **published.efficient_t2i(),
        "captions": save_captions(tmp_path / "c.pickle", [*WORDS, "more"]),
    }
    with pytest.raises(BundleError, match="give the captions file that belongs to it"):
        import_published("efficient-t2i", files, tmp_path / "bird")


def test_python_2_captions_are_read(tmp_path: Path) -> None:
    text = b"(lp0\n(lp1\na(lp2\na(dp3\nI0\nS'<end>'\np4\nsI1\nS'bird'\np5\nsa"
    text += b"(dp6\nS'bird'\np7\nI1\nsa."
    (tmp_path / "c.pickle").write_bytes(text)
    assert read_words(tmp_path / "c.pickle") == ["<end>", "bird"]


def test_raw_runs_name_missing_inputs(published: Published, tmp_path: Path) -> None:
    from models.errors import ModelsError

    bundle = import_published("efficient-t2i", published.efficient_t2i(), tmp_path / "bird")
    with pytest.raises(ModelsError, match="lack 'sentence'"):
        run(bundle.folder, "synthesize", {"z": np.zeros((1, 8), np.float32)})


def test_captions_are_not_cut(published: Published, tmp_path: Path) -> None:
    out = tmp_path / "bird"
    import_published("efficient-t2i", published.efficient_t2i(), out)
    import_published("tdanet", published.tdanet(), out)
    for task, words in (("synthesize", 500), ("inpaint", 128)):
        pipeline = load(out, task, None, "cpu")
        read = pipeline.encode("red " * words)
        assert (len(read.ids), read.truncated) == (words, 0)
    assert pipeline.encode("red " * 130).truncated == 2


def same(first: Path, second: Path) -> None:
    """Both files hold the same numbers under the same names, bit by bit."""
    one, two = (torch.load(path, weights_only=True) for path in (first, second))
    if "net" in one:
        assert {k: v for k, v in one.items() if k != "net"} == {
            k: v for k, v in two.items() if k != "net"
        }
        one, two = one["net"], two["net"]
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)


NAMES = {
    "efficient-t2i": {"generator": "netG.pth"},
    "tdanet": {"encoder": "net_E.pth", "generator": "net_G.pth"},
    "manigan": {
        "main": "main.pth",
        "dcm": "dcm.pth",
        "image-encoder": "image_encoder.pth",
        "vgg": "vgg16.pth",
    },
}


@pytest.mark.parametrize("method", ["efficient-t2i", "tdanet", "manigan"])
def test_what_is_imported_and_collected_comes_back_bit_by_bit(
    published: Published, tmp_path: Path, method: str
) -> None:
    files = getattr(published, method.replace("-", "_"))()
    first = import_published(method, files, tmp_path / "first")
    collect(tmp_path / "bird", [first.folder])
    out = tmp_path / "exported"
    export(tmp_path / "bird", method, out)
    names = {**NAMES[method], "text-encoder": "text_encoder.pth"}
    if method != "manigan":  # whose files lack counters, and hold more of VGG-16
        for role, name in names.items():
            same(out / name, files[role])
    assert read_words(out / "captions.pickle") == WORDS
    exported = {role: out / name for role, name in names.items()}
    again = import_published(
        method, {**exported, "captions": out / "captions.pickle"}, tmp_path / "again"
    )
    (task,) = again.tasks
    assert again.task(task).files == first.task(task).files


def test_the_authors_code_finds_what_it_builds_the_network_by(
    published: Published, tmp_path: Path
) -> None:
    files = published.efficient_t2i()
    state = read(files["generator"], inside="net")
    for kept in (True, False):
        if not kept:
            save(state, files["generator"])
        import_published("efficient-t2i", files, tmp_path / f"bird-{kept}")
        (path, *_) = export(tmp_path / f"bird-{kept}", "efficient-t2i", tmp_path / f"out-{kept}")
        params = torch.load(path, weights_only=True)["netG_params"]
        assert params.keys() == T2I_PARAMS.keys()
        assert {**params, "g_model": ""} == {**T2I_PARAMS, "g_model": ""}
        assert (params == T2I_PARAMS) is kept


UNPUBLISHED: dict[str, tuple[Any, str]] = {
    "tdanet": ({"tdanet": {"spectral": False}}, r"spectral = False"),
    "manigan": ({"manigan": {"norm": "layer"}}, r"norm = 'layer', an image encoder other"),
}


@pytest.mark.parametrize("method", ["tdanet", "manigan"])
def test_networks_that_the_authors_do_not_have_are_refused(tmp_path: Path, method: str) -> None:
    changes, told = UNPUBLISHED[method]
    tiny_bundle(tmp_path / "own", **changes)
    with pytest.raises(BundleError, match=f"published layout of .* differs by {told}"):
        export(tmp_path / "own", method, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["vocabulary.json", "synthesize-text_encoder-*.safetensors"])
def test_a_bundle_that_lacks_a_file_is_not_exported_in_part(tmp_path: Path, name: str) -> None:
    next(tiny_bundle(tmp_path / "own").folder.glob(name)).unlink()
    with pytest.raises(BundleError, match="cannot read"):
        export(tmp_path / "own", "efficient-t2i", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_networks_for_notebooks(published: Published, tmp_path: Path) -> None:
    import models

    import_published("efficient-t2i", published.efficient_t2i(), tmp_path / "bird")
    pipeline: Any = models.load(tmp_path / "bird")["synthesize"]
    assert models.load(tmp_path / "bird", "synthesize").spec.method == "efficient-t2i"
    z = torch.zeros(1, 8, requires_grad=True)
    pipeline.generator(z, torch.zeros(1, TEXT)).sum().backward()
    assert z.grad is not None
