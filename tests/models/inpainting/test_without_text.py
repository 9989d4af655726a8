"""Methods that read no text: imported, served without a vocabulary, exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.bundle import Bundle
from models.checkpoints.collect import collect
from models.checkpoints.exporter import export
from models.checkpoints.importer import import_published
from models.errors import BundleError, InputProblem
from models.evaluation.runner import Runner
from models.forward import run as forward
from models.inpainting.pipeline import InpaintingPipeline
from models.pipeline import Item
from models.registry import load
from models.runtime.autotune import Memory, tune
from tests.models.checkpoints.published import a_photo, holes, signed, truncated
from tests.models.checkpoints.test_imports import same
from tests.models.inpainting.without_text import METHODS, PublishedFiles
from tests.models.test_pipelines import a_mask, item, made, warm_up


@pytest.fixture(params=list(METHODS))
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def published(method: str, tmp_path: Path) -> PublishedFiles:
    return METHODS[method](tmp_path)


@pytest.fixture
def bundle(method: str, published: PublishedFiles, tmp_path: Path) -> Bundle:
    return import_published(method, published.files, tmp_path / "faces")


def test_a_photo_of_the_networks_size_gets_the_authors_picture(
    published: PublishedFiles, bundle: Bundle
) -> None:
    pipeline = load(bundle.folder, "inpaint", None, "cpu")
    for seed, (shape, hole) in enumerate(holes(published.size).items()):
        photo = a_photo(published.size, seed)
        images = {"image": Image.fromarray(photo), "mask": Image.fromarray(np.uint8(255) * hole)}
        (picture,) = made(pipeline, Item("", seed, images=images))
        mask = torch.from_numpy(~hole).float()[None, None]
        expected = truncated(published.run(signed(photo), mask, seed))
        assert np.abs(picture - expected).max() <= 1, shape
        assert (picture[~hole] == photo[~hole]).all()


def test_tensors_straight_to_the_networks(published: PublishedFiles, bundle: Bundle) -> None:
    image, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    mask[..., 10:40, 20:50] = 0
    pipeline = load(bundle.folder, "inpaint", None, "cpu")
    assert isinstance(pipeline, InpaintingPipeline)
    source = torch.Generator().manual_seed(3)
    eps = torch.randn(1, *(pipeline.latent or (1,)), generator=source)
    given = {"image": image.numpy(), "mask": mask.numpy(), "eps": eps.numpy()}
    found = forward(bundle.folder, "inpaint", given)["composed"]
    expected = published.run(2 * image - 1, mask, 3).numpy()
    assert np.abs(found - expected).max() <= 1e-4


def test_rows_of_a_batch_are_what_they_are_alone(bundle: Bundle) -> None:
    pipeline = load(bundle.folder, "inpaint", None, "cpu")
    wide = replace(item(seed=3), images={**item().images, "mask": a_mask(box=(2, 2, 88, 20))})
    items = [item(seed=1), wide, item(seed=2, photo_seed=5)]
    for one, together in zip(items, made(pipeline, *items), strict=True):
        assert np.abs(made(pipeline, one)[0] - together).max() <= 1


def test_seeds_draw_where_the_method_does(method: str, bundle: Bundle) -> None:
    pipeline = load(bundle.folder, "inpaint", None, "cpu")
    one, again, other = made(pipeline, item(seed=1), item(seed=1, index=3), item(seed=2))
    assert (one == again).all()
    assert (one != other).any() == (method == "picnet")
    mean = [made(pipeline, replace(item(seed=s), noise_scale=0.0))[0] for s in (1, 2)]
    assert (mean[0] == mean[1]).all()


def test_no_text_is_read(bundle: Bundle) -> None:
    pipeline = load(bundle.folder, "inpaint", None, "cpu")
    assert not pipeline.reads_text
    pictures = made(pipeline, item(""), item("zorgly"), item("a red bird"))
    assert all((picture == pictures[0]).all() for picture in pictures)
    (refused,) = pipeline.run([replace(item(), explain=True)]).pictures
    assert isinstance(refused, InputProblem)
    warm_up(pipeline, 2)
    assert Runner(pipeline).run([item("zorgly")])[0].size == (90, 60)


def test_it_is_tuned_like_any_other(bundle: Bundle) -> None:
    def loading(precision: str) -> object:
        return load(bundle.folder, "inpaint", None, "cpu", precision)

    assert tune(loading, "float32", 2, Memory(None)).best_batch  # type: ignore[arg-type]


def test_the_bundle_has_no_words_and_says_its_licence(method: str, bundle: Bundle) -> None:
    raw = json.loads((bundle.folder / "bundle.json").read_text())["tasks"]["inpaint"]
    assert raw["method"] == method
    assert raw["reads_text"] is False
    assert not {"vocabulary", "text_encoder", "max_words"} & raw.keys()
    assert not list(bundle.folder.glob("vocabulary*"))
    assert "CC BY-NC 4.0" in raw["licence"]
    assert "CC BY-NC 4.0" in (bundle.folder / "CARD.md").read_text()
    broken = bundle.folder / "bundle.json"
    broken.write_text(broken.read_text().replace('"reads_text": false', '"reads_text": true'))
    with pytest.raises(BundleError, match="'max_words' must be int"):
        Bundle.open(bundle.folder)


def test_what_is_imported_and_collected_comes_back_bit_by_bit(
    method: str, published: PublishedFiles, bundle: Bundle, tmp_path: Path
) -> None:
    collected = collect(tmp_path / "all", [bundle.folder])
    assert collected.task("inpaint").reads_text is False
    paths = export(collected.folder, method, tmp_path / "exported")
    assert len(paths) == len(published.files)
    exported = dict(zip(published.files, paths, strict=True))
    for role, path in published.files.items():
        same(exported[role], path)
    again = import_published(method, exported, tmp_path / "again")
    assert again.task("inpaint").files == bundle.task("inpaint").files


def test_files_of_another_method_are_refused(
    method: str, published: PublishedFiles, tmp_path: Path
) -> None:
    swapped = dict(zip(published.files, reversed(published.files.values()), strict=True))
    with pytest.raises(BundleError):
        import_published(method, swapped, tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
