"""ManiGAN's adversarial training: phases, what ships, and how the DCM follows the main module."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from models.bundle import Bundle
from models.damsm.inception import InceptionImageEncoder
from models.errors import ModelsError
from models.manipulation.manigan.losses import correction_loss, kl_loss, main_loss
from models.manipulation.manigan.official import AdversarialObjective
from models.manipulation.manigan.photo_recipe import PhotoObjective, _shading
from models.registry import load
from models.training.config import ConfigError
from models.training.parts import PARTS, Encoders, initialise, save
from tests.models.training.photos import NoisePhotos, TinyEncoders, Watched, watch_two_steps

SIZE = 64
WIDTHS = {"ngf": 4, "blocks": 1, "combine": 4, "z": 4, "condition": 4}
TINY: dict[str, Any] = {"objective": "adversarial", "ndf": 4, **WIDTHS}
PHOTOS = {
    **TINY,
    "discriminator": "projected",
    "discriminator_size": 32,
    "augment": "colour,translation",
}


def built(options: dict[str, Any], encoders: Any = None) -> Any:
    torch.manual_seed(0)
    return PARTS["manipulation"](options, NoisePhotos(SIZE), encoders or TinyEncoders())


@pytest.mark.parametrize(
    ("train", "phases"),
    [
        ("main", ["judge0", "judge1", "judge2", "main"]),
        ("both", ["judge0", "judge1", "judge2", "main", "judge_dcm", "dcm"]),
    ],
)
def test_published_phases(train: str, phases: list[str], tmp_path: Path) -> None:
    objective = built({**TINY, "train": train})
    assert isinstance(objective, AdversarialObjective)
    assert list(objective.optimizer_steps) == phases
    watch_two_steps(objective, NoisePhotos(SIZE), "manipulation", tmp_path)


@pytest.mark.parametrize("options", [TINY, PHOTOS, WIDTHS])
@pytest.mark.parametrize("size", [48, 66, 8])
def test_sizes_that_its_stages_cannot_make_are_refused(options: dict[str, Any], size: int) -> None:
    with pytest.raises(ModelsError, match=f"64, 128 or 256 pixels, not at {size}"):
        PARTS["manipulation"](options, NoisePhotos(size), TinyEncoders())


@pytest.mark.parametrize("more", [{}, {"outside": 8.0, "shading": 4.0, "identity": 0.5}])
def test_photos_phases(more: dict[str, Any], tmp_path: Path) -> None:
    objective = built({**PHOTOS, **more})
    assert isinstance(objective, PhotoObjective)
    watch_two_steps(objective, NoisePhotos(SIZE), "manipulation", tmp_path)


def test_pairs_of_drawings_weigh_small_things_and_edges(tmp_path: Path) -> None:
    torch.manual_seed(0)
    drawings = NoisePhotos(SIZE, labels=10)
    options = {"ngf": 4, "combine": 4, "small": 1.0, "edges": 0.5}
    objective = PARTS["manipulation"](options, drawings, TinyEncoders())
    loop = watch_two_steps(objective, drawings, "manipulation", tmp_path)
    batch, noise = loop.samples(7, 4, 0, 4)
    assert objective.loss("manipulation", (batch, noise), 7)[1]["edges"] > 0
    weight = objective._weight(batch)
    assert batch.labels is not None
    small = torch.isin(batch.labels, torch.tensor([6, 7, 8]))
    assert (weight[:, 0][small] / weight[:, 0][~small].mean()).mean() > 1.8


def test_shading_is_no_outline_and_no_level() -> None:
    thing = torch.zeros(1, 1, 64, 64)
    thing[..., 16:48, 16:48] = 1
    texture = 0.1 * torch.randn(1, 1, 16, 16)
    white = torch.where(thing[..., ::4, ::4] > 0, 0.8 + texture, torch.zeros(1))
    black = torch.where(thing[..., ::4, ::4] > 0, -0.8 + texture, torch.zeros(1))
    torch.testing.assert_close(_shading(white, thing), _shading(black, thing))
    flat = torch.where(thing[..., ::4, ::4] > 0, 0.8, 0.0)
    assert (_shading(white, thing) - _shading(flat, thing)).abs().mean() > 0.01


@pytest.mark.parametrize("options", [{"ngf": 4, "combine": 4}, PHOTOS])
@pytest.mark.parametrize("modules", ["main", "dcm"])
def test_one_module_is_trained_alone(modules: str, options: dict[str, Any], tmp_path: Path) -> None:
    pair: Any = TinyEncoders()
    objective = built({**options, "modules": modules}, pair)
    loop = watch_two_steps(objective, NoisePhotos(SIZE), "manipulation", tmp_path / "run")
    save(
        tmp_path / "one",
        "manipulation",
        objective,
        loop._recalibrated_averages(),
        NoisePhotos(SIZE),
        pair,
    )
    files = Bundle.open(tmp_path / "one").task("manipulate").files
    assert {"main", "dcm"} & set(files) == {modules}
    load(tmp_path / "one", "manipulate", None, "cpu")


def test_half_of_the_photos_get_a_wrong_caption(tmp_path: Path) -> None:
    objective = built(PHOTOS)
    loop = watch_two_steps(objective, NoisePhotos(SIZE), "manipulation", tmp_path)
    batch, noise = loop.samples(3, 8, 0, 8)
    with torch.no_grad():
        seen = objective.forward_shared(batch, noise, 3)
        _, own = objective.text(batch.ids, batch.lengths)
        _, wrong = objective.text(batch.negative_ids, batch.negative_lengths)
    edits = seen.edits.bool()
    assert 0 < edits.sum() < 8
    assert torch.equal(seen.given.sentence[edits], wrong[edits])
    assert torch.equal(seen.given.sentence[~edits], own[~edits])


def test_photos_come_back_alone_before_anything_is_judged(tmp_path: Path) -> None:
    objective = built({**PHOTOS, "warmup_steps": 2, "taps": "2,4"})
    assert objective.discriminator.config.taps == (2, 4)
    loop = Watched(objective, NoisePhotos(SIZE), "manipulation", tmp_path)
    for _ in range(3):
        loop.advance()
    assert [phase.trains for phase, _ in loop.changed] == [
        ("main", "dcm"),
        ("main", "dcm"),
        ("judge",),
        ("main", "dcm"),
    ]
    batch, noise = loop.samples(3, 8, 0, 8)
    with torch.no_grad():
        alone, later = (objective.forward_shared(batch, noise, step) for step in (1, 2))
        losses = [objective.loss("edit", seen, step)[1] for step, seen in ((1, alone), (2, later))]
    assert not alone.edits.any()
    assert later.edits.any()
    assert ["g" in values for values in losses] == [False, True]


def test_the_dcm_needs_a_main_module(tmp_path: Path) -> None:
    objective = built({**TINY, "train": "dcm"})
    with pytest.raises(ModelsError, match="--init"):
        watch_two_steps(objective, NoisePhotos(SIZE), "manipulation", tmp_path)


def test_the_dcm_follows_the_main_module(tmp_path: Path) -> None:
    data, pair = NoisePhotos(SIZE), TinyEncoders()
    first = built({**TINY, "train": "main"}, pair)
    loop = watch_two_steps(first, data, "manipulation", tmp_path / "main")
    save(tmp_path / "one", "manipulation", first, loop._recalibrated_averages(), data, pair)
    assert "dcm" not in Bundle.open(tmp_path / "one").task("manipulate").files
    load(tmp_path / "one", "manipulate", None, "cpu")
    second = built({**TINY, "train": "dcm"}, Encoders(tmp_path / "one"))
    initialise(second, "manipulation", tmp_path / "one", data)
    loop = watch_two_steps(second, data, "manipulation", tmp_path / "dcm")
    assert list(second.optimizer_steps) == ["judge_dcm", "dcm"]
    save(tmp_path / "two", "manipulation", second, loop._recalibrated_averages(), data, pair)
    states = [Bundle.open(tmp_path / n).state("manipulate", "main") for n in ("one", "two")]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    load(tmp_path / "two", "manipulate", None, "cpu")


@pytest.mark.slow
def test_published_encoders(tmp_path: Path) -> None:
    """Inception and VGG-16, with random weights: both go into the bundle."""
    data, pair = NoisePhotos(SIZE), TinyEncoders(InceptionImageEncoder(16))
    objective = built({**TINY, "train": "main", "detail": "random"}, pair)
    loop = watch_two_steps(objective, data, "manipulation", tmp_path / "run")
    save(tmp_path / "one", "manipulation", objective, loop._recalibrated_averages(), data, pair)
    again = Encoders(tmp_path / "one")
    assert isinstance(again.image, InceptionImageEncoder)
    assert again.detail is not None
    load(tmp_path / "one", "manipulate", None, "cpu")


def test_losses_are_the_published_sums(tmp_path: Path) -> None:
    objective = built({**TINY, "train": "both"})
    loop = watch_two_steps(objective, NoisePhotos(SIZE), "manipulation", tmp_path)
    seen = objective.forward_shared(*loop.samples(5, 4, 0, 4), 5)
    loss, values = objective.loss("main", seen, 5)
    kl = kl_loss(seen.mu, seen.logvar)
    expected = main_loss([values["g"]], values["matching"], values["perceptual"], kl)
    torch.testing.assert_close(loss, expected)
    loss, values = objective.loss("dcm", seen, 5)
    expected = correction_loss(values["g_dcm"], values["matching_dcm"], seen.final, seen.reals[-1])
    torch.testing.assert_close(loss, expected)


def test_wrong_options_are_sentences() -> None:
    with pytest.raises(ConfigError, match="paired or adversarial"):
        built({"objective": "magic"})
    with pytest.raises(ModelsError, match="main, dcm or both"):
        built({**TINY, "train": "all"})
    with pytest.raises(ConfigError, match="no option 'train'"):
        built({**PHOTOS, "train": "main"})
    assert asdict(built(TINY).config)["base"] == SIZE // 4
