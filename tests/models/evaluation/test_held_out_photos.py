"""Every task on photos, where right colours and paired answers are unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from models.evaluation import inpainting, manipulation, synthesis
from models.evaluation.features import Lite2Features
from models.evaluation.held_out_photos import HeldOutPhotos
from models.evaluation.panel import Panel
from models.evaluation.runner import Runner
from models.evaluation.subject import subject_classifier
from models.registry import load


class Gardens:
    """Eight noisy photos of two classes, no object masks."""

    name = "gardens"
    domain = "flowers"
    fingerprint = "gardens-1"

    def __len__(self) -> int:
        return 8

    def photo(self, index: int) -> Image.Image:
        pixels = np.random.default_rng(index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    def caption_texts(self, index: int) -> tuple[str, ...]:
        return ("this bird has red wings",) if index % 2 else ("a blue bird with a yellow crown",)

    def class_of(self, index: int) -> str:
        return "odd" if index % 2 else "even"

    def object_mask(self, index: int) -> None:
        """There are none."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def gardens() -> HeldOutPhotos:
    photos: Any = Gardens()
    return HeldOutPhotos(photos, "test")


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel(features=Lite2Features(side=96), subject=subject_classifier("flowers"))


def test_synthesis_compares_with_further_photos(
    tiny: Path, gardens: HeldOutPhotos, panel: Panel
) -> None:
    runner = Runner(load(tiny, "synthesize", None, "cpu"))
    numbers = synthesis.evaluate(runner, gardens, panel, 4, 0).numbers()
    assert "kid_efficientnet-lite2" in numbers["real"]
    assert numbers["real"]["flower_ratio"] == pytest.approx(1)
    assert 0 <= numbers["efficient-t2i"]["flower_mass"] <= 1
    assert "diversity" in numbers["efficient-t2i"]
    assert "attribute_accuracy" not in numbers["efficient-t2i"]


def test_synthesis_of_all_photos_has_no_row_to_compare_reality(
    tiny: Path, gardens: HeldOutPhotos, panel: Panel
) -> None:
    runner = Runner(load(tiny, "synthesize", None, "cpu"))
    report = synthesis.evaluate(runner, gardens, panel, 8, 0)
    assert "kid_efficientnet-lite2" not in report.numbers()["real"]
    assert "kid_efficientnet-lite2" in report.numbers()["blurred-8"]
    assert any("no further held-out pictures" in note for note in report.notes)


class Mute(Gardens):
    """The first photo that is asked for has no word that anybody knows."""

    def caption_texts(self, index: int) -> tuple[str, ...]:
        first = int(np.random.default_rng(0).permutation(len(self))[0])
        return ("xyzzy",) if index == first else super().caption_texts(index)


class Noting(HeldOutPhotos):
    """Notes for which samples it is asked for more of the kind."""

    asked: ClassVar[list[int]] = []

    def alike(self, index: int, count: int, size: int) -> list[Image.Image]:
        self.asked.append(index)
        return super().alike(index, count, size)


def test_variety_is_compared_with_photos_of_the_same_caption(tiny: Path) -> None:
    photos: Any = Mute()
    runner = Runner(load(tiny, "synthesize", None, "cpu"))
    report = synthesis.evaluate(runner, Noting(photos, "test"), Panel(), 4, 0)
    assert len(report.cases) == 3
    assert Noting.asked == [1, 2, 3], "the first was left out"


def test_manipulation_has_no_paired_answer(tiny: Path, gardens: HeldOutPhotos) -> None:
    runner = Runner(load(tiny, "manipulate", None, "cpu"))
    report = manipulation.evaluate(runner, gardens, Panel(), 4, 0)
    numbers = report.numbers()
    assert not report.details()["manigan"]["diff"]["beats_real"]  # there is no row of real ones
    assert set(numbers) == {"manigan", "identity", "recolour", "no-text"}
    assert set(numbers["manigan"]) == {"diff"}
    assert numbers["recolour"]["diff"] > 0


def test_an_edit_is_measured_in_the_subject_and_in_the_background(
    tiny: Path, gardens: HeldOutPhotos, panel: Panel
) -> None:
    runner = Runner(load(tiny, "manipulate", None, "cpu"))
    numbers = manipulation.evaluate(runner, gardens, panel, 4, 0).numbers()
    assert numbers["identity"]["subject_diff"] == numbers["identity"]["background_diff"] == 0
    assert numbers["manigan"]["subject_diff"] > 0
    assert numbers["manigan"]["background_diff"] > 0


def test_inpainting_without_object_masks_says_so(tiny: Path, gardens: HeldOutPhotos) -> None:
    runner = Runner(load(tiny, "inpaint", None, "cpu"))
    report = inpainting.evaluate(runner, gardens, Panel(), 4, 0)
    assert "l1_center" in report.numbers()["tdanet"]
    assert "l1_object" not in report.numbers()["tdanet"]
    assert any("no object masks" in note for note in report.notes)
