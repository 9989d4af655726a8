"""Where words acted: laid over the whole picture, for the items alone that ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InputProblem
from models.explanation import LONGER_SIDE, Area, Explanation, frame, over_picture
from models.geometry import Letterbox
from models.pipeline import Item, Pipeline
from models.registry import load
from tests.models.test_pipelines import a_mask, a_photo
from tests.models.tiny import tiny_bundle

TASKS = ("synthesize", "manipulate", "inpaint")
SIZES = {"synthesize": (128, 128), "manipulate": (128, 85), "inpaint": (128, 85)}  # of 90×60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("weights") / "seeing", damsm=True).folder


@pytest.fixture(params=TASKS)
def pipeline(request: pytest.FixtureRequest, bundle: Path) -> Pipeline[Any]:
    return load(bundle, request.param, None, "cpu")


def item(text: str, seed: int = 1, explain: bool = True, **images: Image.Image) -> Item:
    given = {"image": a_photo(), "mask": a_mask(), **images}
    return Item(text, seed, 1, given, explain=explain)


def explained(pipeline: Pipeline[Any], *items: Item) -> dict[int, Explanation]:
    result = pipeline.run(items)
    assert all(isinstance(p, Image.Image) for p in result.pictures), result.pictures
    return dict(result.explanations)


def maps_of(explanation: Explanation) -> list[np.ndarray]:
    return [m for word in explanation.words for m in word.maps.values()]


def test_every_known_word_has_a_map(pipeline: Pipeline[Any]) -> None:
    (found,) = explained(pipeline, item("a zorgly Red bird")).values()
    assert found.method == pipeline.method
    told = [(w.word.word, w.word.start, w.word.end, w.word.known) for w in found.words]
    assert told == [
        ("a", 0, 1, True),
        ("zorgly", 2, 8, False),
        ("red", 9, 12, True),
        ("bird", 13, 17, True),
    ]
    assert [len(w.maps) for w in found.words] == [1, 0, 1, 1]
    assert found.words[1].peak is None
    assert all(0 <= w.peak <= 1 for w in found.words if w.peak is not None)
    for plane in maps_of(found):
        assert plane.shape == SIZES[pipeline.task][::-1]
        assert np.isfinite(plane).all()
        assert plane.min() >= 0
        assert plane.max() > 0


def test_words_after_the_longest_caption_have_no_map(pipeline: Pipeline[Any]) -> None:
    (found,) = explained(pipeline, item("red " * 14)).values()
    assert [len(w.maps) for w in found.words] == [1] * 12 + [0] * 2
    assert all(w.word.known for w in found.words)


def test_only_items_that_ask_are_explained(pipeline: Pipeline[Any]) -> None:
    texts = ["a bird", "the blue bird has a red belly with yellow wings", "red"]
    asked = [item(text, k, k != 1) for k, text in enumerate(texts)]
    result = pipeline.run(asked)
    assert sorted(result.explanations) == [0, 2]
    plain = pipeline.run([item(text, k, False) for k, text in enumerate(texts)])
    assert not plain.explanations
    for a, b in zip(result.pictures, plain.pictures, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_an_explanation_does_not_depend_on_its_company(pipeline: Pipeline[Any]) -> None:
    """So words that pad a caption to the length of its batch never show."""
    wanted = item("red bird", 7)
    long = item("the blue bird has a red belly with yellow wings and a green crown", 3)
    alone, company = explained(pipeline, wanted)[0], explained(pipeline, long, wanted, long)[1]
    assert len(alone.words) == len(company.words) == 2
    for a, b in zip(maps_of(alone), maps_of(company), strict=True):
        assert np.allclose(a, b, atol=2e-4 * a.max())
    for name, feature in alone.features.items():
        assert np.allclose(feature, company.features[name], atol=1e-3 * feature.max())


def test_shares_of_words_sum_to_one(bundle: Path) -> None:
    pipeline = load(bundle, "manipulate", None, "cpu")
    square = item("a red bird with blue wings", image=a_photo(32, 32))
    (found,) = explained(pipeline, square).values()
    assert np.allclose(np.sum(maps_of(found), 0), 1, atol=1e-4)


def test_manigan_shows_its_affine_maps(bundle: Path) -> None:
    pipeline = load(bundle, "manipulate", None, "cpu")
    (found,) = explained(pipeline, item("a red bird")).values()
    assert set(found.features) == {"W", "b"}
    assert all(plane.shape == (85, 128) and plane.max() > 0 for plane in found.features.values())
    hooks = [m._forward_hooks for m in pipeline.dcm.modules()]  # type: ignore[attr-defined]
    assert not any(hooks)


@pytest.mark.parametrize(
    ("choice", "features"),
    [({"modules": "main"}, 2), ({"modules": "dcm"}, 2), ({"combination": "concat"}, 0)],
)
def test_manigan_without_parts(tmp_path: Path, choice: dict[str, str], features: int) -> None:
    folder = tiny_bundle(tmp_path / "parts", manigan=choice).folder
    (found,) = explained(load(folder, "manipulate", None, "cpu"), item("a red bird")).values()
    assert len(maps_of(found)) == 3
    assert len(found.features) == features


def test_tdanet_looks_around_the_hole_only(bundle: Path) -> None:
    """At squares that are cut around holes, and there at what is known."""
    pipeline = load(bundle, "inpaint", None, "cpu")
    mask = a_mask(400, 200, (40, 80, 80, 120))
    mask.paste(255, (350, 10, 366, 26))
    wide = item("a red bird", image=a_photo(400, 200), mask=mask)
    (found,) = explained(pipeline, wide).values()
    assert not found.features
    for plane in maps_of(found):
        assert plane.shape == (64, 128)
        assert plane[:, 50:95].max() == 0  # between the squares
        assert plane[30:34, 18:20].max() == 0  # the middle of the hole
        assert plane[15:50, 0:38].max() > 0
        assert plane[0:12, 105:].max() > 0


def test_mixed_captions_are_explained_one_by_one(bundle: Path) -> None:
    pipeline = load(bundle, "synthesize", None, "cpu")
    mixed = Item("a red bird", 1, mixed=(("a red bird", 0.5), ("blue", 0.5)), explain=True)
    (found,) = explained(pipeline, mixed).values()
    assert [(w.text, w.word.word) for w in found.words] == [
        (0, "a"),
        (0, "red"),
        (0, "bird"),
        (1, "blue"),
    ]


def test_what_can_not_be_explained_says_so(bundle: Path, tiny: Path) -> None:
    telea = load(bundle, "inpaint", "telea", "cpu").run([item("a red bird")]).pictures[0]
    assert isinstance(telea, InputProblem)
    assert "does not look at words" in telea.detail
    alone = load(tiny, "synthesize", None, "cpu").run([item("a red bird")]).pictures[0]
    assert isinstance(alone, InputProblem)
    assert "can't explain" in alone.detail


def middle(plane: np.ndarray) -> tuple[float, float]:
    """Centre of mass, x and y in parts of the whole."""
    y, x = np.indices(plane.shape) + 0.5
    weights = plane / plane.sum()
    return (
        float((x * weights).sum() / plane.shape[1]),
        float((y * weights).sum() / plane.shape[0]),
    )


def test_the_longer_side_is_fixed() -> None:
    assert frame(64, 64) == (LONGER_SIDE, LONGER_SIDE)
    assert frame(8000, 6000) == (128, 96)
    assert frame(16, 16_000) == (1, 128)


@pytest.mark.parametrize("cells", [4, 32, 300])
@pytest.mark.parametrize(("width", "height"), [(400, 200), (90, 300)])
def test_a_square_is_laid_where_it_was_cut(cells: int, width: int, height: int) -> None:
    one = np.zeros((cells, cells), np.float32)
    one[: cells // 4, 3 * cells // 4 :] = 1  # the corner above on the right
    laid = over_picture(one, [Area(30, 50, 40, 40)], width, height)
    x, y = middle(laid)
    assert x * width == pytest.approx(65, abs=4)
    assert y * height == pytest.approx(55, abs=4)
    assert laid.max() <= 1 + 1e-5


def test_a_square_may_stick_out() -> None:
    laid = over_picture(np.ones((8, 8), np.float32), [Area(-50, -50, 100, 100)], 100, 100)
    assert laid[:64, :64].min() == 1
    assert laid[66:].max() == laid[:, 66:].max() == 0


def test_the_letterbox_is_cut_off() -> None:
    """What lies in the middle of a photo's left half lies there in its map, too."""
    photo = a_photo(300, 100)
    box = Letterbox.of(300, 100, 32)
    square = np.zeros((32, 32), np.float32)
    square[box.top : box.top + box.height, : 32 // 2] = 1
    laid = over_picture(square, [Area(*box.area(photo))], 300, 100)
    assert laid.shape == (43, 128)
    assert middle(laid) == pytest.approx((0.25, 0.5), abs=0.02)
    assert laid[:, :60].min() > 0.3


def test_the_smallest_square_shows() -> None:
    laid = over_picture(np.ones((8, 8), np.float32), [Area(4000, 2000, 20, 20)], 8000, 4000)
    assert (laid > 0).sum() >= 1
