"""ManiGAN's choices: how photo features are combined, which modules there are, and how much of an
edit the background shows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from models import forward
from models.errors import ModelsError
from models.manipulation.manigan.network import (
    DetailCorrection,
    MainModule,
    ManiganConfig,
    networks,
)
from models.pipeline import Item
from models.registry import load
from tests.models.manipulation.manigan.test_network import inputs, small
from tests.models.tiny import tiny_bundle

COMBINATIONS = ("affine", "concat", "none")
MODULES = ("both", "main", "dcm")
PAIRS = [(c, m) for c in COMBINATIONS for m in MODULES]


def build(**changes: Any) -> tuple[ManiganConfig, dict[str, Any]]:
    torch.manual_seed(0)
    config = replace(small(), **changes)
    return config, {role: module.eval() for role, module in networks(config).items()}


def edit(made: dict[str, Any], given: dict[str, Tensor], detail: Tensor) -> list[Tensor]:
    """Every picture that the networks make, the final one last."""
    hidden, pictures = given["regions"], []
    if "main" in made:
        out = made["main"](**given)
        hidden, pictures = out.hidden, list(out.pictures)
    if "dcm" in made:
        pictures.append(made["dcm"](hidden, detail, given["words"], given["pad"])[0])
    return pictures


def detail() -> Tensor:
    return torch.randn(2, 5, 16, 16, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("combination", "modules"), PAIRS)
def test_every_choice_makes_a_picture_and_learns(combination: str, modules: str) -> None:
    config, made = build(combination=combination, modules=modules)
    assert tuple(made) == config.roles
    pictures = edit(made, inputs(), detail())
    assert pictures[-1].shape == (2, 3, 32, 32)
    sum(p.square().sum() for p in pictures).backward()  # type: ignore[union-attr]
    silent = {
        f"{role}.{name}"
        for role, module in made.items()
        for name, p in module.named_parameters()
        if p.grad is None
    }
    # Either stage holds the other's projection, too, as published.
    other = {"h_net2.channel_att.conv_context3.weight", "h_net3.channel_att.conv_context2.weight"}
    assert silent == ({f"main.{name}" for name in other} if "main" in made else set())


@pytest.mark.parametrize(("combination", "modules"), PAIRS)
def test_a_picture_does_not_depend_on_its_batch(combination: str, modules: str) -> None:
    _, made = build(combination=combination, modules=modules)
    given, seen = inputs(), detail()
    row = {k: v[1:2] for k, v in given.items()}
    row["words"], row["pad"] = row["words"][..., :2], row["pad"][:, :2]
    with torch.no_grad():
        together, alone = edit(made, given, seen)[-1], edit(made, row, seen[1:2])[-1]
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize(("combination", "matters"), [("concat", True), ("none", False)])
def test_without_combination_regions_do_not_matter(combination: str, matters: bool) -> None:
    _, made = build(combination=combination, modules="main")
    given = inputs()
    other = {**given, "regions": -given["regions"]}
    with torch.no_grad():
        first, second = (edit(made, x, detail())[-1] for x in (given, other))
    assert torch.equal(first, second) is not matters


def test_defaults_have_the_published_keys() -> None:
    with torch.device("meta"):
        main, dcm = MainModule(ManiganConfig()), DetailCorrection(ManiganConfig())
    assert {"SAIN1.conv.weight", "imgUpSample3.1.weight", "h_net3.SAIN.conv_bias.weight"} <= set(
        main.state_dict()
    )
    assert not any(key.startswith("entry") for key in dcm.state_dict())


@pytest.mark.parametrize("name", ["combination", "modules"])
def test_unknown_choices_are_refused(name: str) -> None:
    with pytest.raises(ModelsError, match=f"{name} is .*, not 'all'"):
        build(**{name: "all"})


@pytest.mark.parametrize("modules", MODULES)
def test_bundles_of_every_choice_are_served(modules: str, tmp_path: Path) -> None:
    choice = {"combination": "concat", "modules": modules}
    bundle = tiny_bundle(tmp_path / "bundle", rnn="gru", manigan=choice)
    pipeline = load(bundle.folder, "manipulate", None, "cpu")
    photo = Image.new("RGB", (90, 60), (200, 30, 60))
    picture = pipeline.run([Item("a red bird", 1, 0, {"image": photo})]).pictures[0]
    assert isinstance(picture, Image.Image), picture
    assert np.asarray(picture).shape == (60, 90, 3)
    roles = {"main", "dcm"} if modules == "both" else {modules}
    assert roles == bundle.task("manipulate").files.keys() - {"text_encoder", "image_encoder"}
    if modules != "both":
        with pytest.raises(ModelsError, match="both of ManiGAN's modules"):
            forward.run(bundle.folder, "manipulate", {})


@pytest.mark.parametrize("background", [-0.1, 1.5])
def test_more_than_all_of_a_change_is_refused(background: float) -> None:
    with pytest.raises(ModelsError, match=r"background is from 0 to 1, not"):
        build(background=background)


@pytest.mark.parametrize("explained", [False, True])
def test_a_bundle_may_leave_the_background_as_it_is(
    explained: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = Image.new("RGB", (32, 32), (120, 160, 200))
    ImageDraw.Draw(photo).ellipse((10, 8, 22, 24), (200, 30, 30), (20, 20, 20), 2)
    before = np.asarray(photo, float)
    change = {}
    for background in (1.0, 0.0):
        choice = {"background": background}
        bundle = tiny_bundle(tmp_path / str(background), manigan=choice)
        item = Item("a red bird", 1, 0, {"image": photo}, explain=explained)
        pipeline = load(bundle.folder, "manipulate", None, "cpu")
        picture, _, traced = (pipeline.run([item]).pictures[0] for _ in range(3))
        assert isinstance(picture, Image.Image), picture
        assert picture == traced
        change[background] = abs(np.asarray(picture, float) - before).mean(2)
    assert "without a trace" not in caplog.text
    border = np.ones((32, 32), bool)
    border[3:-3, 3:-3] = False
    assert change[0.0][border].mean() < change[1.0][border].mean() / 3
    middle = change[0.0][14:18, 14:18].mean()
    assert middle == pytest.approx(change[1.0][14:18, 14:18].mean(), abs=2)
