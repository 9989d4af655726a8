"""Every pipeline with real (tiny, untrained) networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.checkpoints.importer import import_published
from models.errors import BundleError, InputProblem, ModelsError, UnknownBundle
from models.geometry import Letterbox
from models.pipeline import Item, Pipeline
from models.registry import load
from models.runtime.cpu.traces import TraceBudget
from tests.models.inpainting import without_text
from tests.models.tiny import METHODS, task_of

TASKS = ("synthesize", "manipulate", "inpaint")


def a_photo(width: int = 90, height: int = 60, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def a_mask(
    width: int = 90, height: int = 60, box: tuple[int, int, int, int] = (30, 20, 60, 45)
) -> Image.Image:
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, box)
    return mask


def item(text: str = "a red bird", seed: int = 1, index: int = 0, photo_seed: int = 0) -> Item:
    return Item(text, seed, index, {"image": a_photo(seed=photo_seed), "mask": a_mask()})


def warm_up(pipeline: Pipeline[Any], batch: int) -> list[int]:
    """The sizes of the batches."""
    batches = list(pipeline.warm_up_batches(batch))
    return [len(pipeline.forward(prepared)) for prepared in batches]


def made(pipeline: Pipeline[Any], *items: Item) -> list[np.ndarray]:
    pictures = []
    for picture in pipeline.run(items).pictures:
        assert isinstance(picture, Image.Image), picture
        pictures.append(np.asarray(picture).astype(int))
    return pictures


@pytest.fixture(params=[*TASKS, *METHODS])
def pipeline(
    request: pytest.FixtureRequest, tiny: Path, tiny_methods: dict[str, Path]
) -> Pipeline[Any]:
    folder, task = tiny_methods.get(request.param, tiny), request.param
    return load(folder, task_of(task) if task in METHODS else task, None, "cpu")


def test_a_seed_gives_the_same_picture_alone_and_in_company(pipeline: Pipeline[Any]) -> None:
    wanted = item("a red bird", 7, 1)
    texts = ["a bird", "the blue bird has a red belly with yellow wings", "red", "a green crown"]
    others = [item(texts[k % 4], k, 1, photo_seed=k) for k in range(8)]
    alone = made(pipeline, wanted)[0]
    assert np.array_equal(alone, made(pipeline, wanted)[0])
    together = made(pipeline, *others[:3], wanted, *others[3:])[3]
    assert np.abs(alone - together).max() <= 2


def test_seeds_differ(pipeline: Pipeline[Any]) -> None:
    pictures = made(pipeline, *(item("a red bird", 5 + n, n) for n in range(4)))
    for a in range(4):
        for b in range(a):
            assert (pictures[a] != pictures[b]).any()


def test_words_matter(pipeline: Pipeline[Any]) -> None:
    red, blue = made(pipeline, item("a red bird"), item("the blue wings"))
    assert (red != blue).any()


def test_an_item_without_known_words_fails_alone(pipeline: Pipeline[Any]) -> None:
    good, bad, other = pipeline.run([item(), item("zorgly"), item()]).pictures
    assert isinstance(good, Image.Image)
    assert isinstance(other, Image.Image)
    assert isinstance(bad, InputProblem)
    assert bad.code == "no_known_words"


@torch.inference_mode()
def test_one_picture_alone_runs_as_a_trace_and_several_from_python(pipeline: Pipeline[Any]) -> None:
    runs, pipeline.allowance = [], TraceBudget(1)

    def network(x: torch.Tensor) -> torch.Tensor:
        runs.append(len(x))
        return x.tanh()

    for rows in (1, 1, 1, 2, 2, 1):
        x = torch.randn(rows, 3)
        assert torch.equal(pipeline.compute(network, x), x.tanh())
    assert runs == [1, 1, 2, 2]


def assert_values_do_not_stick(pipeline: Pipeline[Any], fresh: Pipeline[Any]) -> None:
    """What was run first decides nothing about what comes later in the same shapes."""
    pipeline.allowance, fresh.traced = TraceBudget(9), False
    holes = [(30, 20, 60, 45), (36, 24, 48, 36), (12, 8, 80, 52)]
    items = [
        Item(text, k, 0, {"image": a_photo(seed=k), "mask": a_mask(box=box)})
        for k, (text, box) in enumerate(
            zip(("a red bird", "red", "blue wings"), holes, strict=True)
        )
    ]
    for one in (items[0], items[0], *items[1:]):
        found = made(pipeline, one)[0]
        assert np.abs(found - made(fresh, one)[0]).max() <= 1


def test_a_trace_serves_other_values(pipeline: Pipeline[Any]) -> None:
    p = pipeline
    assert_values_do_not_stick(p, load(p.bundle.folder, p.task, p.method, "cpu"))


@pytest.mark.parametrize("method", list(without_text.METHODS))
def test_a_trace_serves_other_holes(method: str, tmp_path: Path) -> None:
    published = without_text.METHODS[method](tmp_path)
    folder = import_published(method, published.files, tmp_path / "bundle").folder
    assert_values_do_not_stick(*(load(folder, "inpaint", None, "cpu") for _ in range(2)))


def test_warm_up(pipeline: Pipeline[Any]) -> None:
    assert max(warm_up(pipeline, 3)) == 3


def test_sizes(tiny: Path) -> None:
    assert made(load(tiny, "synthesize", None, "cpu"), item())[0].shape == (32, 32, 3)
    for task in ("manipulate", "inpaint"):
        assert made(load(tiny, task, None, "cpu"), item())[0].shape == (60, 90, 3)


@pytest.mark.parametrize("method", ["tdanet", "telea", "navier-stokes"])
def test_inpainting_changes_the_hole_alone(tiny: Path, method: str) -> None:
    photo, hole = np.asarray(a_photo()), np.asarray(a_mask()) > 0
    filled = made(load(tiny, "inpaint", method, "cpu"), item())[0]
    assert np.array_equal(filled[~hole], photo[~hole])
    assert (filled[hole] != photo[hole]).any()


def test_far_apart_holes_and_wide_holes_are_filled(tiny: Path) -> None:
    photo = Image.new("RGB", (400, 120), (0, 255, 0))
    pipeline = load(tiny, "inpaint", None, "cpu")
    for boxes in ([(5, 5, 25, 25), (370, 90, 395, 115)], [(10, 10, 390, 110)]):
        mask = Image.new("L", photo.size, 0)
        for box in boxes:
            mask.paste(255, box)
        picture = made(pipeline, Item("a bird", 1, 0, {"image": photo, "mask": mask}))[0]
        hole = np.asarray(mask) > 0
        assert (picture[~hole] == (0, 255, 0)).all()
        for x0, y0, x1, y1 in boxes:
            assert (picture[y0:y1, x0:x1] != (0, 255, 0)).any()


def test_inpainting_the_mean_needs_no_seed(tiny: Path) -> None:
    first, second = made(load(tiny, "inpaint", None, "cpu"), item(seed=1), item(seed=2))
    assert np.array_equal(first, second)


def test_unknown_tasks_methods_and_precisions(tiny: Path) -> None:
    with pytest.raises(UnknownBundle, match="does not offer 'fly'"):
        load(tiny, "fly", None, "cpu")
    with pytest.raises(UnknownBundle, match="not by 'telea'"):
        load(tiny, "synthesize", "telea", "cpu")
    with pytest.raises(ModelsError, match="Unknown precision"):
        load(tiny, "synthesize", None, "cpu", "int3")
    with pytest.raises(UnknownBundle, match="no bundle at"):
        load(tiny / "nothing", "synthesize", None, "cpu")


def test_damaged_weights_are_refused(tiny: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    weights = next(copy.glob("synthesize-generator-*"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(BundleError, match="damaged"):
        load(copy, "synthesize", None, "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
def test_cuda_agrees_with_the_cpu(tiny: Path, task: str) -> None:
    wanted = item(index=1)
    cpu, cuda = (made(load(tiny, task, None, device), wanted)[0] for device in ("cpu", "cuda"))
    assert np.abs(cpu - cuda).max() <= 2


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
def test_graphs_paint_what_the_network_does_in_any_batch(tiny: Path, task: str) -> None:
    pipeline = load(tiny, task, None, "cuda", "float16")
    prepared = [pipeline.prepare(item) for item in pipeline.examples(5)]
    alone = [pipeline.forward([p])[0] for p in prepared]
    for rows in (5, 3, 5):  # captured, captured, replayed with other rows around
        for a, b in zip(alone, pipeline.forward(prepared[:rows]), strict=False):
            assert np.abs(a - b).max() <= 2 / 255


def network_picture(pipeline: Pipeline[Any], asked: Item) -> np.ndarray:
    """What the networks alone make of an item's only square."""
    (output,) = pipeline.forward([pipeline.prepare(asked)])
    pixels = output if isinstance(output, np.ndarray) else output.pixels
    return np.round(pixels.reshape(-1, *pixels.shape[-2:]) * 255).astype(int)


@pytest.mark.parametrize("task", ["manipulate", "inpaint"])
def test_photos_of_the_networks_size_get_its_own_pixels(tiny: Path, task: str) -> None:
    pipeline = load(tiny, task, None, "cpu")
    images = {"image": a_photo(32, 32), "mask": a_mask(32, 32, (8, 8, 20, 24))}
    asked = Item("a red bird", 1, 0, images)
    own, fitted = made(pipeline, asked, replace(asked, fidelity="photo"))
    expected = network_picture(pipeline, asked)
    if task == "inpaint":
        known = np.asarray(images["mask"]) == 0
        expected[known] = np.asarray(images["image"])[known]
        assert np.array_equal(fitted[known], expected[known])
    assert np.array_equal(own, expected)
    assert np.array_equal(own, made(pipeline, replace(asked, fidelity="network"))[0])
    # Of an edit all arrives either way; a fill meets the colours beside the hole.
    assert (np.abs(own.astype(int) - fitted).max() > 1) == (task == "inpaint")


@pytest.mark.parametrize("task", ["manipulate", "inpaint"])
def test_other_photos_keep_their_detail_unless_asked(tiny_detailed: Path, task: str) -> None:
    pipeline = load(tiny_detailed, task, None, "cpu")
    asked = item()
    usual, fitted, own = (
        made(pipeline, replace(asked, fidelity=f))[0] for f in (None, "photo", "network")
    )
    assert np.array_equal(usual, fitted)
    assert own.shape == fitted.shape
    assert (own != fitted).any()
    told = [
        pipeline.provenance(pipeline.prepare(replace(asked, fidelity=f)))["fidelity"]
        for f in (None, "photo", "network")
    ]
    assert told == ["photo", "photo", "network"]


def test_the_networks_edit_of_a_larger_photo_is_its_picture_enlarged(tiny: Path) -> None:
    pipeline = load(tiny, "manipulate", None, "cpu")
    photo = a_photo(128, 96)
    asked = Item("a red bird", 1, 0, {"image": photo}, fidelity="network")
    box = Letterbox.of(128, 96, 32)
    small = Image.fromarray(network_picture(pipeline, asked).astype(np.uint8))
    crop = small.crop((0, box.top, 32, box.top + box.height))
    expected = np.asarray(crop.resize((128, 96), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(made(pipeline, asked)[0] - expected).max() <= 1
